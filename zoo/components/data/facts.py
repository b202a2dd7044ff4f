"""Memorization of facts."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from random import Random
from typing import ClassVar, final

from zoo.checks import require, require_between
from zoo.components.data._synthetic import build_alphabet, require_at_least
from zoo.data.interfaces import Pairs, Split
from zoo.registry import register


@final
@register("data", "facts", paper="arXiv:2404.05405")
class Facts(Pairs):
    """Recall the random value of each key; the validation split has the same facts as the training split.

    A fact has ``value · log₂ symbols`` bits. The ``target_nll`` of validation, in nats, measures the part that is not
    stored, ``bits_per_parameter`` the part that is. Transformers store about two bits per parameter if each fact is
    seen a thousand times, and about one if it is seen a hundred times, where gated feed-forward layers store less than
    others (arXiv:2404.05405).

    Args:
        facts: number of facts.
        symbols: number of different symbols.
        key: number of symbols of a key; keys are distinct.
        value: number of symbols of a value, drawn at random.
        seed: seed of the random facts.

    Raises:
        Refused: if there are fewer different keys than facts, if ``symbols`` is not between 2 and 62, if ``key`` is not
            between 1 and 10, or if ``facts`` or ``value`` is less than 1.
    Source: Allen-Zhu and Li 2024.
    """

    expected_failures: ClassVar[Mapping[str, str]] = {
        "splits_differ": "validation has the facts of training, since it measures how many are stored"
    }

    def __init__(self, *, facts: int = 1000, symbols: int = 32, key: int = 3, value: int = 2, seed: int = 0) -> None:
        require_between("symbols", symbols, 2, 62)
        require_between("key", key, 1, 10)
        require_at_least("value", value, 1)
        require_at_least("facts", facts, 1)
        keys = symbols**key
        require(facts <= keys, f"facts must be at most symbols^key = {keys}: got facts={facts}")
        self.facts = facts
        self.alphabet = build_alphabet("symbols", symbols)
        self.key = key
        self.value = value
        self.seed = seed

    def identity(self) -> str:
        """Returns the options and the version of Python, whose random numbers may differ from those of another."""
        sizes = f"facts={self.facts} symbols={len(self.alphabet)} key={self.key} value={self.value} seed={self.seed}"
        return f"facts 1 {sizes} python={sys.version_info.major}.{sys.version_info.minor}"

    def compute_target_bits(self) -> float:
        """Returns the entropy of all values in bits."""
        return self.facts * self.value * math.log2(len(self.alphabet))

    def pairs(self, split: Split) -> Iterator[tuple[str, str]]:
        """Iterates over all facts, for both splits."""
        random = Random(f"facts {self.seed}")
        for number in random.sample(range(len(self.alphabet) ** self.key), self.facts):
            yield self._spell_key(number), "".join(random.choices(self.alphabet, k=self.value))

    def _spell_key(self, number: int) -> str:
        quotients = (number // len(self.alphabet) ** place for place in range(self.key))
        return "".join(self.alphabet[quotient % len(self.alphabet)] for quotient in quotients)

"""Know by heart."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from random import Random
from typing import ClassVar, final

from zoo.checks import require, require_between
from zoo.components.data._synthetic import alphabet, require_at_least
from zoo.data.interfaces import Pairs, Split
from zoo.registry import register


@final
@register("data", "facts", paper="arXiv:2404.05405")
class Facts(Pairs):
    """Say the value of a key that only memory can tell; validation asks for the facts that were trained.

    A fact is ``value · log₂ symbols`` bits; ``target_nll`` of validation, in nats, is what is still missing of them,
    ``bits_per_parameter`` what is stored. Transformers store about two bits a parameter where each fact is seen a
    thousand times, about one where it is seen a hundred times, and then gated feed-forward layers fewer than others
    (arXiv:2404.05405).

    Args:
        facts: how many there are.
        symbols: how many different symbols there are.
        key: symbols of a key; no two keys are equal.
        value: symbols of a value, drawn at random.
        seed: other seeds give other facts.

    Raises:
        Refused: if there are fewer different keys than facts, ``symbols`` is not from 2 to 62, ``key`` is not from 1
            to 10, or ``facts`` or ``value`` is below 1.
    Source: Allen-Zhu and Li 2024.
    """

    expected_failures: ClassVar[Mapping[str, str]] = {
        "splits_differ": "facts are asked as they were trained: what is measured is how many are stored"
    }

    def __init__(self, *, facts: int = 1000, symbols: int = 32, key: int = 3, value: int = 2, seed: int = 0) -> None:
        require_between("symbols", symbols, 2, 62)
        require_between("key", key, 1, 10)
        require_at_least("value", value, 1)
        require_at_least("facts", facts, 1)
        keys = symbols**key
        require(facts <= keys, f"facts must be at most symbols^key = {keys}: got facts={facts}")
        self.facts = facts
        self.alphabet = alphabet("symbols", symbols)
        self.key = key
        self.value = value
        self.seed = seed

    def identity(self) -> str:
        """Version, options, and the Python that draws."""
        sizes = f"facts={self.facts} symbols={len(self.alphabet)} key={self.key} value={self.value} seed={self.seed}"
        return f"facts 1 {sizes} python={sys.version_info.major}.{sys.version_info.minor}"

    def compute_target_bits(self) -> float:
        """Of all values."""
        return self.facts * self.value * math.log2(len(self.alphabet))

    def pairs(self, split: Split) -> Iterator[tuple[str, str]]:
        """All facts, whatever the split."""
        random = Random(f"facts {self.seed}")
        for number in random.sample(range(len(self.alphabet) ** self.key), self.facts):
            yield self._spelled(number), "".join(random.choices(self.alphabet, k=self.value))

    def _spelled(self, number: int) -> str:
        places = (number // len(self.alphabet) ** place for place in range(self.key))
        return "".join(self.alphabet[place % len(self.alphabet)] for place in places)

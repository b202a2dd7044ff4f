"""Selective copying."""

from __future__ import annotations

from math import comb
from random import Random
from typing import final

from zoo.components.data._synthetic import Lengths, RandomPairs, build_alphabet, require_at_least
from zoo.data.interfaces import Split
from zoo.registry import register

_NOISE = "."


@final
@register("data", "selective_copy", paper="arXiv:2312.00752")
class SelectiveCopy(RandomPairs):
    """Copy the symbols among noise in order: ..3.a...0. -> 3a0.

    The spacing of the symbols varies between examples, so that time-invariant models, such as convolutions and S4,
    cannot do it; models whose transitions depend on the input can (arXiv:2312.00752).

    Args:
        marked: number of symbols to copy.
        symbols: number of different symbols.
        train_length: number of tokens of a source in training, symbols and noise.
        test_length: number of tokens of a source in validation; null for the same number as in training.
        limit: number of examples in both splits together.
        validation: fraction of the examples to hold out, selected by a hash of the source.
        seed: seed of the random examples.

    Raises:
        Refused: if a length is less than ``marked``, if ``marked`` is less than 1, if ``symbols`` is less than 2, if
            ``limit`` is more than half of the number of different examples, or if ``validation`` is not between 0 and
            1.
    Source: Gu and Dao 2023.
    """

    def __init__(
        self,
        *,
        marked: int = 6,
        symbols: int = 16,
        train_length: int = 24,
        test_length: int | None = None,
        limit: int = 20000,
        validation: float = 0.05,
        seed: int = 0,
    ) -> None:
        require_at_least("marked", marked, 1)
        self.marked = marked
        self.alphabet = build_alphabet("symbols", symbols)
        self.lengths = Lengths(train_length, None, test_length)
        self.lengths.require(marked)
        different = comb(self.lengths.shorter_split, marked) * symbols**marked
        super().__init__(limit, validation, seed, different, marked=marked, symbols=symbols, lengths=self.lengths)

    def draw(self, random: Random, split: Split) -> tuple[str, str]:
        """Draws symbols, and their places among noise."""
        text = [_NOISE] * self.lengths.draw(random, split)
        symbols = random.choices(self.alphabet, k=self.marked)
        for place, symbol in zip(sorted(random.sample(range(len(text)), self.marked)), symbols, strict=True):
            text[place] = symbol
        return "".join(text), "".join(symbols)

"""Copy what is not noise."""

from __future__ import annotations

from math import comb
from random import Random
from typing import final

from zoo.components.data._synthetic import Drawn, Lengths, alphabet, require_at_least
from zoo.data.interfaces import Split
from zoo.registry import register

_NOISE = "."


@final
@register("data", "selective_copy", paper="arXiv:2312.00752")
class SelectiveCopy(Drawn):
    """Write the symbols that stand among noise, in their order: ..3.a...0. -> 3a0.

    How far apart they stand changes from example to example, so a model that is the same at every time, as a
    convolution or S4, cannot do it; one whose transitions depend on the input can (arXiv:2312.00752).

    Args:
        marked: symbols to be copied.
        symbols: how many different symbols there are.
        train_length: symbols and noise of a source in training.
        test_length: symbols and noise of a source in validation; none is as in training.
        limit: examples of both splits together.
        validation: share of the examples held out, chosen by a hash of the source.
        seed: other seeds give other examples.

    Raises:
        Refused: if a length is below ``marked``, ``marked`` is below 1, ``symbols`` is below 2, ``limit`` is more than
            half of the different examples, or ``validation`` is not between 0 and 1.
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
        self.alphabet = alphabet("symbols", symbols)
        self.lengths = Lengths(train_length, None, test_length)
        self.lengths.require(marked)
        different = comb(self.lengths.fewest, marked) * symbols**marked
        super().__init__(limit, validation, seed, different, marked=marked, symbols=symbols, lengths=self.lengths)

    def draw(self, random: Random, split: Split) -> tuple[str, str]:
        """Noise, and at some places symbols."""
        text = [_NOISE] * self.lengths.draw(random, split)
        copied = random.choices(self.alphabet, k=self.marked)
        for place, symbol in zip(sorted(random.sample(range(len(text)), self.marked)), copied, strict=True):
            text[place] = symbol
        return "".join(text), "".join(copied)

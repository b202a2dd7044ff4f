"""Odd or even."""

from __future__ import annotations

from itertools import accumulate
from operator import xor
from typing import final

from zoo.components.data._synthetic import Lengths, Strings
from zoo.registry import register


@final
@register("data", "parity", paper="arXiv:1906.06755")
class Parity(Strings):
    """Say whether the number of ones is odd: 10110 -> 1.

    A Transformer of fixed size cannot do it for strings of any length if its attention is hard, and less and less
    surely if it is soft (arXiv:1906.06755); for a given length weights exist that can (arXiv:2202.12172), and two
    layers are the fewest (arXiv:2602.05896). A linear recurrence whose transitions have positive eigenvalues only
    cannot either; negative ones help (arXiv:2411.12537). A Transformer that may write as many steps as there are bits
    can recognize every regular language, this one included (arXiv:2310.07923).

    Args:
        scratchpad: whether the parity of every beginning is to be written, the shortest first, not only of the whole.
        train_length: bits in training.
        shortest: fewest bits in training, where lengths are drawn evenly; none is always ``train_length``.
        test_length: bits in validation; none is as in training.
        limit: examples of both splits together.
        validation: share of the examples held out, chosen by a hash of the source.
        seed: other seeds give other examples.

    Raises:
        Refused: if a length is below 1, ``limit`` is more than half of the different strings, or ``validation`` is not
            between 0 and 1.
    Source: Hahn 2020.
    """

    def __init__(
        self,
        *,
        scratchpad: bool = False,
        train_length: int = 16,
        shortest: int | None = None,
        test_length: int | None = None,
        limit: int = 20000,
        validation: float = 0.05,
        seed: int = 0,
    ) -> None:
        lengths = Lengths(train_length, shortest, test_length)
        super().__init__("01", lengths, limit, validation, seed, scratchpad=scratchpad)
        self.scratchpad = scratchpad

    def answer(self, text: str) -> str:
        """The parity of the string, or of each of its beginnings."""
        parities = "".join(str(bit) for bit in accumulate(map(int, text), xor))
        return parities if self.scratchpad else parities[-1]

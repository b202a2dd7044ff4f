"""Parity."""

from __future__ import annotations

from itertools import accumulate
from operator import xor
from typing import final

from zoo.components.data._random_strings import RandomStrings
from zoo.components.data._synthetic import Lengths
from zoo.registry import register


@final
@register("data", "parity", paper="arXiv:1906.06755")
class Parity(RandomStrings):
    """Predict the parity of a bit string: 10110 -> 1.

    A Transformer of fixed size with hard attention cannot compute it for strings of arbitrary length, and with soft
    attention its confidence vanishes as strings grow (arXiv:1906.06755). For a given length there are weights that
    compute it (arXiv:2202.12172), with at least two layers (arXiv:2602.05896). Linear recurrences whose transitions
    have only positive eigenvalues cannot compute it either; negative eigenvalues help (arXiv:2411.12537). A Transformer
    that may write as many intermediate steps as there are bits can recognize every regular language, including this
    one (arXiv:2310.07923).

    Args:
        scratchpad: whether the target has the parity of every prefix, the shortest first, or only that of the string.
        train_length: number of bits in training.
        shortest: smallest number of bits in training, where lengths are drawn uniformly up to ``train_length``; null
            for ``train_length`` always.
        test_length: number of bits in validation; null for the same lengths as in training.
        limit: number of examples in both splits together.
        validation: fraction of the examples to hold out, selected by a hash of the source.
        seed: seed of the random examples.

    Raises:
        Refused: if a length is less than 1, if ``limit`` is more than half of the number of different strings, or if
            ``validation`` is not between 0 and 1.
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
        """Returns the parity of the string, or of each of its prefixes."""
        parities = "".join(str(bit) for bit in accumulate(map(int, text), xor))
        return parities if self.scratchpad else parities[-1]

"""Say it again."""

from __future__ import annotations

from typing import final

from zoo.components.data._synthetic import Lengths, Strings, alphabet
from zoo.registry import register


@final
@register("data", "copy", paper="arXiv:2402.01032")
class Copy(Strings):
    """Write a string again: 3a07 -> 3a07.

    Two layers of attention can copy strings whose length is exponential in their size; a model whose state does not
    grow, such as linear attention, can copy no more than fits into that state (arXiv:2402.01032). Whether longer
    strings than those of training are copied hangs on whether symbols repeat (arXiv:2310.16028).

    Args:
        symbols: how many different symbols there are.
        train_length: symbols in training.
        shortest: fewest symbols in training, where lengths are drawn evenly; none is always ``train_length``.
        test_length: symbols in validation; none is as in training.
        limit: examples of both splits together.
        validation: share of the examples held out, chosen by a hash of the source.
        seed: other seeds give other examples.

    Raises:
        Refused: if a length is below 1, ``symbols`` is below 2, ``limit`` is more than half of the different strings,
            or ``validation`` is not between 0 and 1.
    Source: Jelassi et al. 2024.
    """

    def __init__(
        self,
        *,
        symbols: int = 10,
        train_length: int = 8,
        shortest: int | None = None,
        test_length: int | None = None,
        limit: int = 20000,
        validation: float = 0.05,
        seed: int = 0,
    ) -> None:
        lengths = Lengths(train_length, shortest, test_length)
        super().__init__(alphabet("symbols", symbols), lengths, limit, validation, seed, symbols=symbols)

    def answer(self, text: str) -> str:
        """The string."""
        return text

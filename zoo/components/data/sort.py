"""Put in order."""

from __future__ import annotations

from typing import final

from zoo.components.data._synthetic import Lengths, Strings, alphabet
from zoo.registry import register


@final
@register("data", "sort", paper="arXiv:2106.06981")
class Sort(Strings):
    """Write the symbols of a string in order: 3a07 -> 037a.

    The answer does not depend on the order of the source, so, other than for ``copy`` and ``reverse``, nothing is lost
    by a source that is read without positions. A fixed number of layers is enough for any length: there is a RASP
    program for it (arXiv:2106.06981).

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
    Source: Weiss et al. 2021.
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
        """The symbols in the order of Unicode: digits, capitals, small letters."""
        return "".join(sorted(text))

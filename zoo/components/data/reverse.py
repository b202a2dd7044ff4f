"""Say it backwards."""

from __future__ import annotations

from typing import final

from zoo.components.data._synthetic import Lengths, Strings, alphabet
from zoo.registry import register


@final
@register("data", "reverse", paper="arXiv:2106.06981")
class Reverse(Strings):
    """Write a string backwards: 3a07 -> 70a3.

    An encoder without positions is permutation equivariant (arXiv:1912.10077), so it can say which symbols there are
    but not where: all hidden places of the target get one answer. A decoder without positions is not, for causality
    tells it where tokens stand (arXiv:2203.16634).

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
        """The string backwards."""
        return text[::-1]

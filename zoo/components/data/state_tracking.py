"""State tracking: the word problem of the symmetric group."""

from __future__ import annotations

from itertools import accumulate, permutations
from math import factorial
from typing import final

from zoo.checks import require_between
from zoo.components.data._random_strings import RandomStrings
from zoo.components.data._synthetic import Lengths, build_alphabet
from zoo.registry import register


@final
@register("data", "state_tracking", paper="arXiv:2404.08819")
class StateTracking(RandomStrings):
    """Compose a sequence of permutations, applied from left to right: the word problem of Sₙ.

    Symbol i is the i-th permutation in lexicographic order, and the first is the identity. With five or more elements,
    no model in TC⁰ can do it for arbitrary lengths unless TC⁰ = NC¹; Transformers of fixed depth and linear or diagonal
    state-space models are in TC⁰. Recurrent networks and transitions that depend on the input can do it
    (arXiv:2404.08819), and so can a Transformer that may write a step for each permutation (arXiv:2310.07923).

    Args:
        elements: number n of permuted elements; there are n! symbols.
        scratchpad: whether the target has the product of every prefix, the shortest first, or only that of all.
        train_length: number of permutations in training.
        shortest: smallest number of permutations in training, where lengths are drawn uniformly up to
            ``train_length``; null for ``train_length`` always.
        test_length: number of permutations in validation; null for the same lengths as in training.
        limit: number of examples in both splits together.
        validation: fraction of the examples to hold out, selected by a hash of the source.
        seed: seed of the random examples.

    Raises:
        Refused: if ``elements`` is not between 2 and 6, if a length is less than 1, if ``limit`` is more than half of
            the number of different sequences, or if ``validation`` is not between 0 and 1.
    Source: Merrill, Petty and Sabharwal 2024.
    """

    def __init__(
        self,
        *,
        elements: int = 3,
        scratchpad: bool = False,
        train_length: int = 8,
        shortest: int | None = None,
        test_length: int | None = None,
        limit: int = 20000,
        validation: float = 0.05,
        seed: int = 0,
    ) -> None:
        require_between("elements", elements, 2, 6)
        symbols = build_alphabet("elements", factorial(elements))
        lengths = Lengths(train_length, shortest, test_length)
        super().__init__(symbols, lengths, limit, validation, seed, elements=elements, scratchpad=scratchpad)
        self.scratchpad = scratchpad
        self.permutation = dict(zip(symbols, permutations(range(elements)), strict=True))
        self.symbol = {permutation: symbol for symbol, permutation in self.permutation.items()}

    def answer(self, text: str) -> str:
        """Returns the product of the permutations, or of each prefix."""
        states = accumulate((self.permutation[symbol] for symbol in text), _compose)
        products = "".join(self.symbol[state] for state in states)
        return products if self.scratchpad else products[-1]


def _compose(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    """Returns the permutation that applies ``first``, then ``second``."""
    return tuple(second[place] for place in first)

"""Follow what is swapped."""

from __future__ import annotations

from itertools import accumulate, permutations
from math import factorial
from typing import final

from zoo.checks import require_between
from zoo.components.data._synthetic import Lengths, Strings, alphabet
from zoo.registry import register


@final
@register("data", "state_tracking", paper="arXiv:2404.08819")
class StateTracking(Strings):
    """Say which permutation several permutations make, the first applied first: the word problem of Sₙ.

    Symbol i is the i-th permutation in lexicographic order, the first of which moves nothing. From five elements on,
    no model in TC⁰ can do it for any length unless TC⁰ = NC¹: neither Transformers of fixed depth nor linear or
    diagonal state-space models; recurrent networks and transitions that depend on the input can (arXiv:2404.08819).
    A Transformer that may write a step for each permutation can, too (arXiv:2310.07923).

    Args:
        elements: what is permuted; n! symbols.
        scratchpad: whether what every beginning makes is to be written, the shortest first, not only the whole.
        train_length: permutations in training.
        shortest: fewest permutations in training, where lengths are drawn evenly; none is always ``train_length``.
        test_length: permutations in validation; none is as in training.
        limit: examples of both splits together.
        validation: share of the examples held out, chosen by a hash of the source.
        seed: other seeds give other examples.

    Raises:
        Refused: if ``elements`` is not from 2 to 6, a length is below 1, ``limit`` is more than half of the different
            sequences, or ``validation`` is not between 0 and 1.
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
        symbols = alphabet("elements", factorial(elements))
        lengths = Lengths(train_length, shortest, test_length)
        super().__init__(symbols, lengths, limit, validation, seed, elements=elements, scratchpad=scratchpad)
        self.scratchpad = scratchpad
        self.permutation = dict(zip(symbols, permutations(range(elements)), strict=True))
        self.symbol = {permutation: symbol for symbol, permutation in self.permutation.items()}

    def answer(self, text: str) -> str:
        """What all permutations make one after the other, or each beginning of them."""
        states = accumulate((self.permutation[symbol] for symbol in text), _then)
        made = "".join(self.symbol[state] for state in states)
        return made if self.scratchpad else made[-1]


def _then(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    """Where each element is after both."""
    return tuple(second[place] for place in first)

"""Modular addition."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import final

from zoo.checks import require_between
from zoo.components.data._synthetic import build_alphabet
from zoo.data.interfaces import Pairs, Split
from zoo.data.split import hash_to_fraction, require_fraction
from zoo.registry import register


@final
@register("data", "modular_addition", paper="arXiv:2301.02679")
class ModularAddition(Pairs):
    """Compute (a + b) mod p for all pairs of numbers below p: 57 -> 2 for p = 10.

    Each number is one symbol. The training pairs are soon memorized; generalization to the held-out pairs comes
    abruptly and much later, called grokking (arXiv:2201.02177), when the network has found features that are periodic
    in the numbers, for which there is a closed form (arXiv:2301.02679). It takes weight decay and thousands of steps
    rather than hundreds.

    Args:
        modulus: the modulus p.
        validation: fraction of the p² pairs to hold out, selected by a hash of the pair; the fewer pairs are left for
            training, the longer it takes.

    Raises:
        Refused: if ``modulus`` is not between 2 and 1000, or if ``validation`` is not between 0 and 1.
    Source: Gromov 2023.
    """

    def __init__(self, *, modulus: int = 59, validation: float = 0.3) -> None:
        require_between("modulus", modulus, 2, 1000)
        require_fraction(validation)
        self.modulus = modulus
        self.validation = validation

    def identity(self) -> str:
        """Returns the options."""
        return f"modular_addition 1 modulus={self.modulus} validation={self.validation}"

    def pairs(self, split: Split) -> Iterator[tuple[str, str]]:
        """Iterates over the pairs of a split in numerical order."""
        symbols = build_alphabet("modulus", self.modulus)
        for a, b in product(range(self.modulus), repeat=2):
            source = symbols[a] + symbols[b]
            if (hash_to_fraction(source) < self.validation) is (split == "validation"):
                yield source, symbols[(a + b) % self.modulus]

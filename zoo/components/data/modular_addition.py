"""Add on a clock."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import final

from zoo.checks import require_between
from zoo.components.data._synthetic import alphabet
from zoo.data.interfaces import Pairs, Split
from zoo.data.split import hash_to_fraction, require_fraction
from zoo.registry import register


@final
@register("data", "modular_addition", paper="arXiv:2301.02679")
class ModularAddition(Pairs):
    """Say (a + b) mod p, for all pairs of numbers below p: 57 -> 2 where p is 10.

    Each number is one symbol. The pairs of training are soon known by heart; those held out are understood suddenly,
    long after (arXiv:2201.02177), when the network has found features that are periodic in the numbers, which can
    also be written down (arXiv:2301.02679). So this takes thousands of steps and weight decay, not hundreds of steps.

    Args:
        modulus: p.
        validation: share of the p² pairs held out, chosen by a hash of the pair; the fewer are left, the longer it
            takes.

    Raises:
        Refused: if ``modulus`` is not from 2 to 1000, or ``validation`` is not between 0 and 1.
    Source: Gromov 2023.
    """

    def __init__(self, *, modulus: int = 59, validation: float = 0.3) -> None:
        require_between("modulus", modulus, 2, 1000)
        require_fraction(validation)
        self.modulus = modulus
        self.validation = validation

    def identity(self) -> str:
        """Version and options."""
        return f"modular_addition 1 modulus={self.modulus} validation={self.validation}"

    def pairs(self, split: Split) -> Iterator[tuple[str, str]]:
        """The pairs of a split, in counting order."""
        symbols = alphabet("modulus", self.modulus)
        for a, b in product(range(self.modulus), repeat=2):
            source = symbols[a] + symbols[b]
            if (hash_to_fraction(source) < self.validation) is (split == "validation"):
                yield source, symbols[(a + b) % self.modulus]

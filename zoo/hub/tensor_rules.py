"""Rules that map tensors of a published checkpoint to ours, in both directions.

A rule names tensors of both sides by patterns (:mod:`zoo.hub.name_patterns`). Every rule can be inverted, so that one
table serves for reading and writing. Rules for fused tensors are in :mod:`zoo.hub.fused_rules`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from torch import Tensor

from zoo.hub.name_patterns import Numbers, fill_pattern, match_pattern


@dataclass(frozen=True)
class Rule(ABC):
    """Maps one or several published tensors to ours.

    Args:
        theirs: pattern of the published names.
        ours: patterns of our names, with the same placeholders.
    """

    theirs: str
    ours: str | tuple[str, ...]

    @property
    def patterns(self) -> tuple[str, ...]:
        """Patterns of our names."""
        return (self.ours,) if isinstance(self.ours, str) else self.ours

    def match(self, name: str) -> Numbers | None:
        """Matches one of our names; returns the values of the placeholders, or None."""
        for pattern in self.patterns:
            if (numbers := match_pattern(pattern, name)) is not None:
                return numbers
        return None

    def list_our_names(self, numbers: Numbers) -> list[str]:
        """Returns our names."""
        return [fill_pattern(pattern, numbers) for pattern in self.patterns]

    def list_published_names(self, numbers: Numbers, ours: Sequence[Tensor]) -> list[str]:
        """Returns the published names of these tensors of ours."""
        return [fill_pattern(self.theirs, numbers)]

    @abstractmethod
    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Converts published tensors to ours, with the shapes of ``ours``; may return views."""

    @abstractmethod
    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Converts our tensors to the published form; may return views."""


@dataclass(frozen=True)
class Same(Rule):
    """A tensor with equal values under both names."""

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Returns the tensor unchanged."""
        return list(theirs)

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Returns the tensor unchanged."""
        return list(ours)


@final
@dataclass(frozen=True)
class Transposed(Rule):
    """A matrix that is published as ``[inputs, outputs]`` (GPT-2); vectors are unchanged."""

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Transposes to ``[outputs, inputs]``."""
        return [transpose_matrix(tensor) for tensor in theirs]

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Transposes to ``[inputs, outputs]``."""
        return [transpose_matrix(tensor) for tensor in ours]


@final
@dataclass(frozen=True)
class Row(Rule):
    """A vector that is published as a matrix of one row."""

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Removes the dimension of size 1."""
        return [tensor[0] for tensor in theirs]

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Adds a dimension of size 1."""
        return [tensor[None] for tensor in ours]


@final
@dataclass(frozen=True)
class SingleOrPair(Same):
    """A matrix, or its low-rank factors, which have other published names.

    Args:
        theirs: pattern of the published name of a single matrix.
        ours: patterns of the last factor (or single matrix) and of the first factor.
        narrow: patterns of the published names of both factors, in the same order.
    """

    narrow: tuple[str, str] = ("", "")

    def list_published_names(self, numbers: Numbers, ours: Sequence[Tensor]) -> list[str]:
        """Returns one name for a single matrix, two for factors."""
        return [fill_pattern(pattern, numbers) for pattern in ((self.theirs,) if len(ours) == 1 else self.narrow)]


def transpose_matrix(tensor: Tensor) -> Tensor:
    """Transposes a matrix; returns a vector unchanged."""
    return tensor.mT if tensor.ndim > 1 else tensor

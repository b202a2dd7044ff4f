"""Rules that map tensors of a published checkpoint to ours, in both directions.

A rule names tensors of both sides by patterns: ``{layer}`` and other placeholders stand for numbers, and a final ``*``
for weight or bias. Every rule can be inverted, so that one table serves for reading and writing.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

Numbers = Mapping[str, str]
"""Values of the placeholders of a pattern."""


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
            if (found := _compile_pattern(pattern).fullmatch(name)) is not None:
                return found.groupdict()
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


@final
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
class Joined(Rule):
    """Several tensors of ours, concatenated along the outputs in one published tensor.

    Args:
        theirs: pattern of the published name.
        ours: patterns of our names, in order.
        by_head: whether the parts alternate per head, ``[heads, parts, ...]`` (GPT-NeoX), rather than all heads of one
            part before the next.
        transposed: whether the published matrix is ``[inputs, outputs]``.
    """

    by_head: bool = False
    transposed: bool = False

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Splits the published tensor."""
        (whole,) = (transpose_matrix(tensor) if self.transposed else tensor for tensor in theirs)
        if not self.by_head:
            return list(torch.split(whole, [len(part) for part in ours]))
        widths = [len(part) // heads for part in ours]
        return [part.flatten(0, 1) for part in torch.split(_split_heads(whole, heads), widths, dim=1)]

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Concatenates our tensors."""
        if self.by_head:
            whole = torch.cat([_split_heads(part, heads) for part in ours], dim=1).flatten(0, 1)
        else:
            whole = torch.cat(list(ours))
        return [transpose_matrix(whole) if self.transposed else whole]


@final
@dataclass(frozen=True)
class Grouped(Rule):
    """Queries, keys and values in one published tensor: for each key head its queries, its key and its value.

    With one key head: all queries, the key, the value (multi-query). With as many key heads as heads: query, key and
    value of each head in turn. Source: the layouts of Falcon, BLOOM and GPT-BigCode.
    """

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Splits ``[groups * (queries + 2) * head_dim, ...]`` into three tensors ``[heads * head_dim, ...]``."""
        (whole,), groups = theirs, _count_groups(ours, heads)
        widths = [len(part) // groups for part in ours]
        return [part.flatten(0, 1) for part in torch.split(_split_heads(whole, groups), widths, dim=1)]

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Concatenates our tensors."""
        groups = _count_groups(ours, heads)
        return [torch.cat([_split_heads(part, groups) for part in ours], dim=1).flatten(0, 1)]


def _count_groups(ours: Sequence[Tensor], heads: int) -> int:
    """Counts the key heads, from the shapes of queries and keys."""
    query, key = ours[:2]
    return len(key) // (len(query) // heads)


@final
@dataclass(frozen=True)
class Experts(Rule):
    """A tensor of all experts, ``[experts, ...]``, published as one tensor per expert, numbered ``{expert}``."""

    def list_published_names(self, numbers: Numbers, ours: Sequence[Tensor]) -> list[str]:
        """Returns a name for each expert."""
        return [fill_pattern(self.theirs, {**numbers, "expert": str(expert)}) for expert in range(len(ours[0]))]

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Stacks the experts."""
        return [torch.stack(list(theirs))]

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Unstacks the experts."""
        return list(ours[0])


@final
@dataclass(frozen=True)
class Interleaved(Rule):
    """Two tensors of all experts, published as one tensor with alternating outputs (gpt-oss).

    Ours are ``[experts, outputs, inputs]`` or biases ``[experts, outputs]``; the published tensor has the outputs last.
    """

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Takes every other output."""
        (whole,) = theirs
        return [_swap_last_dims(whole[..., first::2]) for first in (0, 1)]

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Interleaves the outputs."""
        return [torch.stack([_swap_last_dims(part) for part in ours], dim=-1).flatten(-2)]


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
class SingleOrPair(Rule):
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

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Returns the tensors unchanged."""
        return list(theirs)

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Returns the tensors unchanged."""
        return list(ours)


def _swap_last_dims(tensor: Tensor) -> Tensor:
    """Swaps the last two dimensions of ``[experts, outputs, inputs]``; biases are unchanged."""
    return tensor.mT if tensor.ndim > 2 else tensor


def _split_heads(tensor: Tensor, heads: int) -> Tensor:
    """Reshapes ``[heads * width, ...]`` to ``[heads, width, ...]``."""
    return tensor.reshape(heads, len(tensor) // heads, *tensor.shape[1:])


def transpose_matrix(tensor: Tensor) -> Tensor:
    """Transposes a matrix; returns a vector unchanged."""
    return tensor.mT if tensor.ndim > 1 else tensor


def fill_pattern(pattern: str, numbers: Numbers) -> str:
    """Fills the placeholders of a pattern."""
    star = numbers.get("star", "")
    return re.sub(r"\{(\w+)\}", lambda found: numbers[found[1]], pattern).replace("*", star)


def _compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compiles a pattern to a regular expression."""
    parts = re.split(r"(\{\w+\}|\*)", pattern)
    regexes = [
        r"(?P<star>weight|bias)" if part == "*" else rf"(?P<{part[1:-1]}>\d+)" if part[:1] == "{" else re.escape(part)
        for part in parts
    ]
    return re.compile("".join(regexes))

"""Which tensors of a published checkpoint are which of ours, in both directions.

A rule names tensors of both sides by patterns: ``{layer}`` and its like stand for numbers, and a ``*`` at the end for
weight or bias. What it makes of one side can be undone on the other, so the same table reads and writes.
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
"""What the placeholders of a pattern stand for in one name."""


@dataclass(frozen=True)
class Rule(ABC):
    """One or several tensors of theirs, and the ones of ours that hold the same numbers.

    Args:
        theirs: patterns of their names.
        ours: patterns of ours, with the same placeholders.
    """

    theirs: str
    ours: str | tuple[str, ...]

    @property
    def patterns(self) -> tuple[str, ...]:
        """Of ours."""
        return (self.ours,) if isinstance(self.ours, str) else self.ours

    def match(self, name: str) -> Numbers | None:
        """What the placeholders stand for in a name of ours; None where it is not among them."""
        for pattern in self.patterns:
            if (found := _expression(pattern).fullmatch(name)) is not None:
                return found.groupdict()
        return None

    def ours_of(self, numbers: Numbers) -> list[str]:
        """Our names."""
        return [fill(pattern, numbers) for pattern in self.patterns]

    def names(self, numbers: Numbers, ours: Sequence[Tensor]) -> list[str]:
        """Their names, for these tensors of ours."""
        return [fill(self.theirs, numbers)]

    @abstractmethod
    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Tensors of theirs as ours, whose shapes are those of ``ours``; may be views."""

    @abstractmethod
    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """The way back; may be views."""


@final
@dataclass(frozen=True)
class Same(Rule):
    """One tensor under two names."""

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """As it is."""
        return list(theirs)

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """As it is."""
        return list(ours)


@final
@dataclass(frozen=True)
class Transposed(Rule):
    """A matrix that they store as ``[inputs, outputs]`` (GPT-2); vectors are the same."""

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """``[outputs, inputs]``."""
        return [turned(tensor) for tensor in theirs]

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """``[inputs, outputs]``."""
        return [turned(tensor) for tensor in ours]


@final
@dataclass(frozen=True)
class Joined(Rule):
    """Several of ours in one tensor of theirs, one after another along the outputs.

    Args:
        theirs: pattern of their name.
        ours: patterns of ours, in their order.
        by_head: whether they stand together for each head, as in ``[heads, parts, …]`` (GPT-NeoX), rather than all
            heads of the first before all of the second.
        transposed: whether they store ``[inputs, outputs]``.
    """

    by_head: bool = False
    transposed: bool = False

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Cut apart."""
        (whole,) = (turned(tensor) if self.transposed else tensor for tensor in theirs)
        if not self.by_head:
            return list(torch.split(whole, [len(part) for part in ours]))
        widths = [len(part) // heads for part in ours]
        return [part.flatten(0, 1) for part in torch.split(_by_head(whole, heads), widths, dim=1)]

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Put together."""
        if self.by_head:
            whole = torch.cat([_by_head(part, heads) for part in ours], dim=1).flatten(0, 1)
        else:
            whole = torch.cat(list(ours))
        return [turned(whole) if self.transposed else whole]


@final
@dataclass(frozen=True)
class Grouped(Rule):
    """Queries, keys and values in one tensor of theirs, for each key head its queries, its key and its value.

    With one key head that is all queries, the key, the value (multi-query); with as many as there are heads, the three
    of each head in turn. Source: the layouts of Falcon, BLOOM and GPT-BigCode.
    """

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Cut apart: ``[groups * (queries + 2) * head_dim, …]`` to three tensors ``[heads * head_dim, …]``."""
        (whole,), groups = theirs, _groups(ours, heads)
        widths = [len(part) // groups for part in ours]
        return [part.flatten(0, 1) for part in torch.split(_by_head(whole, groups), widths, dim=1)]

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Put together."""
        groups = _groups(ours, heads)
        return [torch.cat([_by_head(part, groups) for part in ours], dim=1).flatten(0, 1)]


def _groups(ours: Sequence[Tensor], heads: int) -> int:
    """Key heads, of the tensors of queries and keys."""
    query, key = ours[:2]
    return len(key) // (len(query) // heads)


@final
@dataclass(frozen=True)
class Experts(Rule):
    """One tensor of ours for all experts, ``[experts, …]``, and one of theirs for each, numbered ``{expert}``."""

    def names(self, numbers: Numbers, ours: Sequence[Tensor]) -> list[str]:
        """One for each expert."""
        return [fill(self.theirs, {**numbers, "expert": str(expert)}) for expert in range(len(ours[0]))]

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """One on another."""
        return [torch.stack(list(theirs))]

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Each alone."""
        return list(ours[0])


@final
@dataclass(frozen=True)
class Interleaved(Rule):
    """Two tensors of ours for all experts as one of theirs, whose outputs alternate (gpt-oss).

    Ours are ``[experts, outputs, inputs]`` or biases ``[experts, outputs]``; theirs has the outputs of both last.
    """

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """Every other output."""
        (whole,) = theirs
        return [_outputs_last(whole[..., first::2]) for first in (0, 1)]

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """One output of each in turn."""
        return [torch.stack([_outputs_last(part) for part in ours], dim=-1).flatten(-2)]


@final
@dataclass(frozen=True)
class Row(Rule):
    """A vector that they store as a matrix of one row."""

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """The row."""
        return [tensor[0] for tensor in theirs]

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """``[1, …]``."""
        return [tensor[None] for tensor in ours]


@final
@dataclass(frozen=True)
class Narrowed(Rule):
    """One matrix, or two with a narrow vector between them, which have other names.

    Args:
        theirs: pattern of the name of one alone.
        ours: patterns of the one that is always there, and of the one before it.
        narrow: patterns of their names, in the same order, where both are there.
    """

    narrow: tuple[str, str] = ("", "")

    def names(self, numbers: Numbers, ours: Sequence[Tensor]) -> list[str]:
        """By whether there are two."""
        return [fill(pattern, numbers) for pattern in ((self.theirs,) if len(ours) == 1 else self.narrow)]

    def to_ours(self, theirs: Sequence[Tensor], ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """As they are."""
        return list(theirs)

    def to_theirs(self, ours: Sequence[Tensor], heads: int) -> list[Tensor]:
        """As they are."""
        return list(ours)


def _outputs_last(tensor: Tensor) -> Tensor:
    """``[experts, outputs, inputs]`` to ``[experts, inputs, outputs]`` and back; biases are the same."""
    return tensor.mT if tensor.ndim > 2 else tensor


def _by_head(tensor: Tensor, heads: int) -> Tensor:
    """``[heads * width, …]`` to ``[heads, width, …]``."""
    return tensor.reshape(heads, len(tensor) // heads, *tensor.shape[1:])


def turned(tensor: Tensor) -> Tensor:
    """The last two dimensions exchanged, where there are two."""
    return tensor.mT if tensor.ndim > 1 else tensor


def fill(pattern: str, numbers: Numbers) -> str:
    """A pattern with what its placeholders stand for."""
    star = numbers.get("star", "")
    return re.sub(r"\{(\w+)\}", lambda found: numbers[found[1]], pattern).replace("*", star)


def _expression(pattern: str) -> re.Pattern[str]:
    """What matches the names that a pattern stands for."""
    parts = re.split(r"(\{\w+\}|\*)", pattern)
    made = [
        r"(?P<star>weight|bias)" if part == "*" else rf"(?P<{part[1:-1]}>\d+)" if part[:1] == "{" else re.escape(part)
        for part in parts
    ]
    return re.compile("".join(made))

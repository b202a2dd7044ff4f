"""Rules for tensors that are fused on one side: several tensors of one side are one tensor of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from zoo.hub.name_patterns import Numbers, fill_pattern
from zoo.hub.tensor_rules import Rule, transpose_matrix


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


def _swap_last_dims(tensor: Tensor) -> Tensor:
    """Swaps the last two dimensions of ``[experts, outputs, inputs]``; biases are unchanged."""
    return tensor.mT if tensor.ndim > 2 else tensor


def _split_heads(tensor: Tensor, heads: int) -> Tensor:
    """Reshapes ``[heads * width, ...]`` to ``[heads, width, ...]``."""
    return tensor.reshape(heads, len(tensor) // heads, *tensor.shape[1:])

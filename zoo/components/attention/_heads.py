"""Reshaping between the features of a token and its heads."""

from __future__ import annotations

import torch
from torch import Tensor


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Reshapes ``[batch, length, heads * width]`` to ``[batch, heads, length, width]``."""
    return torch.unflatten(x, -1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """Reshapes ``[batch, heads, length, width]`` to ``[batch, length, heads * width]``."""
    return x.transpose(1, 2).flatten(2)

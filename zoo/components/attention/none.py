"""No attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

import torch
from torch import Tensor

from zoo.model.cache import Cache
from zoo.model.interfaces import Attention, Norm, Position
from zoo.model.mask import Mask
from zoo.registry import register


@final
@register("attention", "none")
class NoAttention(Attention):
    """No attention: tokens are not mixed, and the layer has neither this sublayer nor its norm.

    Args:
        dim: features per token.
        heads: unused.
        head_dim: unused.
        norm: unused.
    """

    is_none: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"causal", "full", "prefix", "packed"})

    def __init__(self, dim: int, heads: int, head_dim: int, norm: Callable[[int], Norm]) -> None:
        super().__init__()

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """Returns zeros of the shape of ``x``."""
        return torch.zeros_like(x)

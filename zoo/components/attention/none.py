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
    """Tokens do not mix: the layer has no attention sublayer, and no norm for it.

    Args:
        dim: features per token.
        heads: not used.
        head_dim: not used.
        norm: not used.
    """

    is_none: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"causal", "full", "prefix", "packed"})

    def __init__(self, dim: int, heads: int, head_dim: int, norm: Callable[[int], Norm]) -> None:
        super().__init__()

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """Zero: nothing is added to a token."""
        return torch.zeros_like(x)

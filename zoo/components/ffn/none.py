"""No feed-forward sublayer."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor

from zoo.model.interfaces import FeedForward
from zoo.model.mask import Tokens
from zoo.registry import register


@final
@register("ffn", "none")
class NoFeedForward(FeedForward):
    """Omits the feed-forward sublayer of the layer, and its norm.

    Args:
        dim: features per token; unused.
        hidden: unused.
    """

    is_none: ClassVar[bool] = True

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        """Returns zeros of the shape of ``x``."""
        return torch.zeros_like(x)

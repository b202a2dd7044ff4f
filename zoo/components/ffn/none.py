"""No feed-forward."""

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
    """Tokens are not worked on alone: the layer has no feed-forward sublayer, and no norm for it.

    Args:
        dim: features per token.
        hidden: not used.
    """

    absent: ClassVar[bool] = True

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()

    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        """Zero: nothing is added to a token."""
        return torch.zeros_like(x)

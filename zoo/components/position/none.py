"""No position encoding."""

from __future__ import annotations

from typing import final

from zoo.model.interfaces import Position
from zoo.registry import register


@final
@register("position", "none", paper="arXiv:2305.19466")
class NoPosition(Position):
    """No position encoding (NoPE): only the causal mask tells the order of tokens.

    Args:
        dim: unused.
        heads: unused.
        head_dim: unused.
        causal: unused.
    Source: Kazemnejad et al. 2023.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, causal: bool) -> None:
        super().__init__()

"""The gated recurrent unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from torch import nn

from zoo.components.attention._recurrent import Network
from zoo.model.interfaces import Norm
from zoo.registry import register


@final
@register("attention", "gru", paper="arXiv:1406.1078")
class Gru(Network):
    """h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ tanh(n_t), n_t from x_t and a part r_t of h_{t-1}; z_t and r_t are gates.

    A baseline from before attention, with a hidden width of heads * head_dim. Its weights begin as torch's do.

    Args:
        dim: features per token.
        heads: only heads * head_dim matters.
        head_dim: see ``heads``.
        norm: not used.
    Source: Cho et al. 2014.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, norm: Callable[[int], Norm]) -> None:
        super().__init__(nn.GRU(dim, heads * head_dim, batch_first=True), dim, states=1)

"""Gated recurrent unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from torch import nn

from zoo.components.attention._network import RecurrentNetwork
from zoo.model.interfaces import Norm
from zoo.registry import register


@final
@register("attention", "gru", paper="arXiv:1406.1078")
class Gru(RecurrentNetwork):
    """Gated recurrent unit (GRU): h_t = z_t ⊙ h_{t-1} + (1 - z_t) ⊙ tanh(n_t), as ``torch.nn.GRU`` computes it.

    The update gate z_t and the reset gate r_t depend on x_t and h_{t-1}; n_t depends on x_t and on r_t ⊙ a linear map
    of h_{t-1}.
    A baseline older than attention, with ``heads * head_dim`` hidden features and the initialization of torch.

    Args:
        dim: features per token.
        heads: only the product with ``head_dim``, the number of hidden features, matters.
        head_dim: see ``heads``.
        norm: unused.
    Source: Cho et al. 2014.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, norm: Callable[[int], Norm]) -> None:
        super().__init__(nn.GRU(dim, heads * head_dim, batch_first=True), dim, states=1)

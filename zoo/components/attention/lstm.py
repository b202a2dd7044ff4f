"""Long short-term memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from torch import nn

from zoo.components.attention._network import RecurrentNetwork
from zoo.model.interfaces import Norm
from zoo.registry import register


@final
@register("attention", "lstm", paper="doi:10.1162/neco.1997.9.8.1735")
class Lstm(RecurrentNetwork):
    """Long short-term memory (LSTM): a recurrent network with a gated cell state, as ``torch.nn.LSTM`` computes it.

    c_t = f_t ⊙ c_{t-1} + i_t ⊙ tanh(g_t) and h_t = o_t ⊙ tanh(c_t), where g_t and the gates i_t, f_t and o_t depend on
    x_t and h_{t-1}.
    A baseline older than attention, with ``heads * head_dim`` hidden features and the initialization of torch.

    Args:
        dim: features per token.
        heads: only the product with ``head_dim``, the number of hidden features, matters.
        head_dim: see ``heads``.
        norm: unused.
    Source: Hochreiter and Schmidhuber 1997; forget gates: Gers et al. 2000.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, norm: Callable[[int], Norm]) -> None:
        super().__init__(nn.LSTM(dim, heads * head_dim, batch_first=True), dim, states=2)

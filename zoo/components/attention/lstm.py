"""Long short-term memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from torch import nn

from zoo.components.attention._recurrent import Network
from zoo.model.interfaces import Norm
from zoo.registry import register


@final
@register("attention", "lstm", paper="doi:10.1162/neco.1997.9.8.1735")
class Lstm(Network):
    """c_t = f_t ⊙ c_{t-1} + i_t ⊙ tanh(g_t), h_t = o_t ⊙ tanh(c_t); the gates depend on x_t and h_{t-1}.

    A baseline from before attention, with a hidden width of heads * head_dim. Its weights begin as torch's do.

    Args:
        dim: features per token.
        heads: only heads * head_dim matters.
        head_dim: see ``heads``.
        norm: not used.
    Source: Hochreiter and Schmidhuber 1997; forget gates: Gers et al. 2000.
    """

    def __init__(self, dim: int, heads: int, head_dim: int, norm: Callable[[int], Norm]) -> None:
        super().__init__(nn.LSTM(dim, heads * head_dim, batch_first=True), dim, states=2)

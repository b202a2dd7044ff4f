"""Functional interpolation of relative positions."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require, require_positive
from zoo.model.interfaces import Position, count_linear_flops
from zoo.model.mask import Mask
from zoo.registry import register


@final
@register("position", "fire", paper="arXiv:2310.04418")
class Fire(Position):
    """Functional interpolation of relative positions (FIRE): adds a learned function of relative distance to scores.

    The bias of query i and key j is f(ψ(abs(i - j)) / ψ(max(i, j, L))), where f is a network with one hidden layer,
    ψ(x) = log(1 + c x), and c and L are learned. Distances are normalized by the length read so far, so that long rows
    resemble short ones. In causal attention max(i, j) is i, as in the paper; in bidirectional attention the bias is
    symmetric. All layers with the same position component share its parameters (FIRE-S in the paper).

    Args:
        dim: unused.
        heads: number of heads; the network has one output per head.
        head_dim: unused.
        causal: unused.
        width: hidden features of the network f.
        threshold: initial value of L; distances in shorter rows are normalized by L.
    Raises:
        Refused: if ``width`` is not positive, or ``threshold`` is less than 1.
    Source: Li et al. 2023.
    """

    def __init__(
        self, dim: int, heads: int, head_dim: int, causal: bool, *, width: int = 32, threshold: float = 512.0
    ) -> None:
        super().__init__()
        require_positive("width", width)
        require(threshold >= 1, f"threshold must be at least 1, the smallest distance: got threshold={threshold}")
        self.threshold = threshold
        self.c = nn.Parameter(torch.tensor(0.1))
        self.stretch = nn.Parameter(
            torch.tensor(1.0)
        )  # L / threshold: of order one, so one learning rate suits all parameters
        self.slope = nn.Parameter(torch.rand(width) * 2 - 1)
        self.offset = nn.Parameter(torch.rand(width) * 2 - 1)
        self.output = nn.Linear(width, heads, bias=False)  # softmax is invariant to a bias shared by all keys

    def bias(self, q: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """Returns ``[batch or 1, heads, query, key]``."""
        dtype = torch.promote_types(q.dtype, torch.float32)
        i, j = query_positions[:, :, None].to(dtype), key_positions[:, None, :].to(dtype)
        c, threshold = self.c.to(dtype).abs(), (self.stretch.to(dtype) * self.threshold).abs()
        span = torch.maximum(torch.maximum(i, j), threshold)  # [batch or 1, query, key]
        ratio = torch.log1p(c * (i - j).abs()) / (torch.log1p(c * span) + 1e-6)  # c may become zero
        hidden = F.relu(
            ratio[..., None] * self.slope.to(dtype) + self.offset.to(dtype)
        )  # [batch or 1, query, key, width]
        out = F.linear(hidden, self.output.weight.to(dtype))  # [batch or 1, query, key, heads]
        return out.permute(0, 3, 1, 2).to(q.dtype)

    def flops(self, mask: Mask) -> int:
        """Counts the output layer of the network, once for every visible pair."""
        return mask.count_pairs() * count_linear_flops(self)

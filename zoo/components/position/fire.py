"""Functional interpolation of relative positions."""

from __future__ import annotations

from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require, require_positive
from zoo.model.interfaces import Position, linear_flops
from zoo.model.mask import Mask
from zoo.registry import register


@final
@register("position", "fire", paper="arXiv:2310.04418")
class Fire(Position):
    """Add f(ψ(|i - j|) / ψ(max(i, j, L))) to scores: f is a small learned network and ψ(x) = log(1 + c x).

    c and L are learned too. Distances are shares of how far a row has come, so that long rows look like short ones.
    In causal attention max(i, j) is i, as in the paper; both ways alike where tokens see both ways. All layers that
    have the same position share it (the paper's FIRE-S).

    Args:
        dim: not used.
        heads: heads; each has its own output of the network.
        head_dim: not used.
        causal: not used.
        width: hidden features of the network.
        threshold: the first L; in rows up to it, shares are of L.
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
        self.stretch = nn.Parameter(torch.tensor(1.0))  # L / threshold, so that it learns at the pace of the others
        self.slope = nn.Parameter(torch.rand(width) * 2 - 1)
        self.offset = nn.Parameter(torch.rand(width) * 2 - 1)
        self.output = nn.Linear(width, heads, bias=False)  # what all keys get alike, a softmax does not see

    def bias(self, q: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """``[batch or 1, heads, query, key]``."""
        dtype = torch.promote_types(q.dtype, torch.float32)
        i, j = query_positions[:, :, None].to(dtype), key_positions[:, None, :].to(dtype)
        c, furthest = self.c.to(dtype).abs(), (self.stretch.to(dtype) * self.threshold).abs()
        most = torch.maximum(torch.maximum(i, j), furthest)
        share = torch.log1p(c * (i - j).abs()) / (torch.log1p(c * most) + 1e-6)  # c may come to be zero
        hidden = F.relu(share[..., None] * self.slope.to(dtype) + self.offset.to(dtype))
        out = F.linear(hidden, self.output.weight.to(dtype))
        return out.permute(0, 3, 1, 2).to(q.dtype)

    def flops(self, mask: Mask) -> int:
        """The network's output for every pair."""
        return mask.pairs() * linear_flops(self)

"""Kernelised relative biases."""

from __future__ import annotations

from typing import Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.model.interfaces import Position
from zoo.registry import register


@final
@register("position", "kerple", paper="arXiv:2205.09921")
class Kerple(Position):
    """Scores fall with distance d by r₁ log(1 + r₂ d), or by r₁ d^r₂, with learned positive r₁ and r₂ of each head.

    Both ways alike where tokens see both ways. All layers that have the same position share the numbers. They stay in
    their ranges by softplus, and by twice a sigmoid for the exponent, where the paper clamps.

    Args:
        dim: not used.
        heads: heads.
        head_dim: not used.
        causal: not used.
        kernel: log, or power with an exponent below 2; each is conditionally positive definite.
    Source: Chi et al. 2022.
    """

    def __init__(
        self, dim: int, heads: int, head_dim: int, causal: bool, *, kernel: Literal["log", "power"] = "log"
    ) -> None:
        super().__init__()
        self.kernel = kernel
        # As published: what multiplies a logarithm and the exponent begin between 0 and 2, the others between 0 and 1.
        factor = torch.rand(heads).clamp(min=0.01) * (2 if kernel == "log" else 1)
        inner = torch.rand(heads).clamp(0.01, 0.99)
        self.factor = nn.Parameter(factor.expm1().log())
        self.inner = nn.Parameter(inner.expm1().log() if kernel == "log" else inner.logit())

    def bias(self, q: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """``[batch or 1, heads, query, key]``."""
        dtype = torch.promote_types(q.dtype, torch.float32)
        distance = (query_positions[:, :, None] - key_positions[:, None, :]).abs()[:, None].to(dtype)
        factor, inner = self.factor.to(dtype)[:, None, None], self.inner.to(dtype)[:, None, None]
        if self.kernel == "log":
            fall = torch.log1p(F.softplus(inner) * distance)
        else:
            fall = distance ** (2 * torch.sigmoid(inner))
        return (-F.softplus(factor) * fall).to(q.dtype)

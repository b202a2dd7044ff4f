"""Kernelized relative position biases."""

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
    """Kernelized relative bias (KERPLE): subtracts r₁ log(1 + r₂ d) or r₁ d^r₂ from scores of tokens d positions apart.

    Each head learns its own r₁ > 0 and r₂ > 0. In bidirectional attention the bias is symmetric. All layers with the
    same position component share its parameters. A softplus keeps them positive, and twice a sigmoid keeps the exponent
    below 2, where the paper clamps.

    Args:
        dim: unused.
        heads: number of heads.
        head_dim: unused.
        causal: unused.
        kernel: ``log``, or ``power`` with an exponent below 2; both are conditionally positive definite.
    Source: Chi et al. 2022.
    """

    def __init__(
        self, dim: int, heads: int, head_dim: int, causal: bool, *, kernel: Literal["log", "power"] = "log"
    ) -> None:
        super().__init__()
        self.kernel = kernel
        # As published: the factor of a logarithm and the exponent start between 0 and 2, the others between 0 and 1.
        factor = torch.rand(heads).clamp(min=0.01) * (2 if kernel == "log" else 1)
        inner = torch.rand(heads).clamp(0.01, 0.99)
        self.factor = nn.Parameter(factor.expm1().log())
        self.inner = nn.Parameter(inner.expm1().log() if kernel == "log" else inner.logit())

    def bias(self, q: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        """Returns ``[batch or 1, heads, query, key]``."""
        dtype = torch.promote_types(q.dtype, torch.float32)
        # distance is [batch or 1, 1, query, key]; factor and inner are [heads, 1, 1].
        distance = (query_positions[:, :, None] - key_positions[:, None, :]).abs()[:, None].to(dtype)
        factor, inner = self.factor.to(dtype)[:, None, None], self.inner.to(dtype)[:, None, None]
        if self.kernel == "log":
            decrease = torch.log1p(F.softplus(inner) * distance)
        else:
            decrease = distance ** (2 * torch.sigmoid(inner))
        return (-F.softplus(factor) * decrease).to(q.dtype)

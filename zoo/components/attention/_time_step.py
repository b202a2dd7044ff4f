"""Learned time steps of state space models."""

from __future__ import annotations

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.components.attention._precision import upcast


@final
class TimeStep(nn.Module):
    """Time step Δ = softplus(x + bias) and log decay -exp(log_rate) Δ of each head.

    Initially Δ(0) is log-uniform in [0.001, 0.1] and the rate exp(log_rate) is uniform in [1, 16].

    Args:
        heads: number of heads; each has its own bias and rate.
    Source: Gu and Dao 2023 (arXiv:2312.00752), Dao and Gu 2024.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        step = torch.exp(torch.empty(heads).uniform_(math.log(0.001), math.log(0.1)))
        self.bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))  # the inverse of softplus
        self.log_rate = nn.Parameter(torch.empty(heads).uniform_(1.0, 16.0).log())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Maps ``[batch, length, heads]`` to time step and log decay, both ``[batch, heads, length, 1]``, upcast."""
        step = F.softplus(upcast(x) + self.bias).transpose(1, 2)[..., None]
        return step, -upcast(self.log_rate).exp()[:, None, None] * step

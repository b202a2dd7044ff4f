"""A convolution over a token and the few before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_positive
from zoo.components.attention._recurrent import PackedRow
from zoo.model.parameter_roles import Role


@final
class ShortConvolution(nn.Module):
    """silu(b + Σ_j w_j x_{t-j}), each feature with its own weights; j counts the last tokens of the document.

    Args:
        width: features.
        kernel: tokens that it reaches, the token itself included.
        bias: whether there is a b.
    Raises:
        Refused: if ``kernel`` is not positive.
    """

    roles: ClassVar[Mapping[str, Role]] = {"weight": "table"}  # a row of taps for each feature

    def __init__(self, width: int, kernel: int, *, bias: bool) -> None:
        super().__init__()
        require_positive("kernel", kernel)
        self.weight = nn.Parameter(torch.empty(width, kernel))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None
        nn.init.uniform_(self.weight, -(kernel**-0.5), kernel**-0.5)  # as nn.Conv1d begins

    def forward(self, x: Tensor, row: PackedRow, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """``[batch, length, width]`` to the same shape, and the last ``kernel - 1`` tokens ``[batch, -1, width]``."""
        taps = self.weight.unbind(dim=1)
        reach, length = len(taps) - 1, x.shape[1]
        before = x.new_zeros(len(x), reach, x.shape[-1]) if state is None else state
        x = torch.cat([before, x], dim=1)
        document = torch.cat([row.document[:, :1].expand(-1, reach), row.document[:, 1:]], dim=1)[..., None]
        own = document[:, reach:]
        y = torch.zeros_like(x[:, reach:]) if self.bias is None else self.bias.expand_as(x[:, reach:])
        for start, tap in enumerate(taps):
            cut = slice(start, start + length)
            y = y + torch.where(document[:, cut] == own, x[:, cut], 0.0) * tap
        last = row.real.sum(dim=1, keepdim=True) + torch.arange(reach, device=x.device)
        last = last[..., None]
        remembered = torch.where(document.gather(1, last) == own[:, -1:], x.gather(1, last.expand_as(before)), 0.0)
        return F.silu(y), remembered

"""Causal depthwise convolution over a token and the few before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_positive
from zoo.components.attention._recurrent import PackedRows
from zoo.model.parameter_roles import Role


@final
class ShortConvolution(nn.Module):
    """Causal depthwise convolution followed by SiLU: silu(b + Σ_j w_j x_{t-j}), within the document of token t.

    Args:
        width: number of features; each has its own weights.
        kernel: kernel size in tokens, the current one included.
        bias: if True, adds a learned bias b.
    Raises:
        Refused: if ``kernel`` is not positive.
    """

    roles: ClassVar[Mapping[str, Role]] = {"weight": "table"}  # a row of kernel weights for each feature

    def __init__(self, width: int, kernel: int, *, bias: bool) -> None:
        super().__init__()
        require_positive("kernel", kernel)
        self.weight = nn.Parameter(torch.empty(width, kernel))
        self.bias = nn.Parameter(torch.zeros(width)) if bias else None
        nn.init.uniform_(self.weight, -(kernel**-0.5), kernel**-0.5)  # the initialization of nn.Conv1d

    def forward(self, x: Tensor, rows: PackedRows, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """Convolves the tokens of each document.

        Args:
            x: ``[batch, length, width]``.
            rows: documents and padding of the tokens.
            state: the last ``kernel - 1`` tokens before ``x``, ``[batch, kernel - 1, width]``; None is zero.
        Returns:
            the output ``[batch, length, width]`` and the new state.
        """
        taps = self.weight.unbind(dim=1)  # kernel tensors [width], the oldest token first
        reach, length = len(taps) - 1, x.shape[1]
        previous = x.new_zeros(len(x), reach, x.shape[-1]) if state is None else state
        x = torch.cat([previous, x], dim=1)  # [batch, reach + length, width]
        document = torch.cat([rows.document[:, :1].expand(-1, reach), rows.document[:, 1:]], dim=1)[..., None]
        current = document[:, reach:]  # [batch, length, 1]
        y = torch.zeros_like(x[:, reach:]) if self.bias is None else self.bias.expand_as(x[:, reach:])
        for start, tap in enumerate(taps):
            shifted = slice(start, start + length)
            y = y + torch.where(document[:, shifted] == current, x[:, shifted], 0.0) * tap
        # The reach tokens up to the last real one, in [batch, reach + length]; padding stands behind it.
        last = rows.is_real.sum(dim=1, keepdim=True) + torch.arange(reach, device=x.device)
        last = last[..., None]
        is_current = document.gather(1, last) == current[:, -1:]
        return F.silu(y), torch.where(is_current, x.gather(1, last.expand_as(previous)), 0.0)

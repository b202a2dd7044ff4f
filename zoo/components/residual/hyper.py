"""Hyper-connections: several residual streams with learned connections to the sublayers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_positive
from zoo.model.interfaces import Norm, Residual, Sublayer
from zoo.model.mask import Mask
from zoo.model.parameter_roles import Role
from zoo.registry import register


@final
class Connection(nn.Module):
    """Weights that connect one sublayer to the streams: those of its input, of the mixing, and of its output.

    Args:
        dim: features per token.
        streams: number of streams.
        first: index of the stream that the sublayer reads at initialization.
        norm: norm of the streams that the dynamic weights are computed from; None for static weights only.
    """

    roles: ClassVar[Mapping[str, Role]] = {"weight": "matrix"}

    def __init__(self, dim: int, streams: int, first: int, norm: Norm | None) -> None:
        super().__init__()
        read = torch.zeros(streams, 1)
        read[first] = 1.0
        # Static weights [streams, 1 + streams], flattened so that they have one axis and are exempt from weight decay.
        self.mix = nn.Parameter(torch.cat([read, torch.eye(streams)], dim=1).flatten())
        self.write = nn.Parameter(torch.ones(streams))
        self.norm = norm
        if norm is not None:
            self.weight = nn.Parameter(torch.zeros(streams + 2, dim))
            self.mix_scale = nn.Parameter(torch.full((1,), 0.01))
            self.write_scale = nn.Parameter(torch.full((1,), 0.01))

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Reads from the streams ``[batch, length, streams, dim]`` and mixes them.

        Returns:
            the input of the sublayer ``[batch, length, dim]``; the mixed streams ``[batch, length, streams, dim]``; and
            the weights of its output, ``[streams]`` or ``[batch, length, streams]``.
        """
        mix: Tensor = self.mix.view(h.shape[-2], -1)
        write: Tensor = self.write
        if self.norm is not None:
            dynamic = torch.tanh(F.linear(self.norm(h), self.weight))
            mix = mix + self.mix_scale * dynamic[..., :-1]
            write = write + self.write_scale * dynamic[..., -1]
        mixed = mix.mT @ h
        return mixed[..., 0, :], mixed[..., 1:, :], write

    if TYPE_CHECKING:
        __call__ = forward


@final
@register("residual", "hyper", paper="arXiv:2409.19606")
class HyperConnections(Residual):
    """Computes H ← Aᵀ H + b f(norm(aᵀ H)) for each sublayer f, with learned a, A and b; H is a stack of streams.

    Every stream starts as x; the streams are summed after the last layer and passed to a final norm. At
    initialization, the sublayers read the streams in turn, one each, and their outputs are added to all streams, so
    that the model is equivalent to one with ``pre``. The paper also multiplies the initial output matrices of sublayers
    by √streams; here they are initialized like those of any other model.

    Args:
        dim: features per token.
        norm: constructs a norm of a given width.
        sublayers: number of sublayers in the layer.
        layer: index of the layer, from 0; it selects the stream that each sublayer reads at initialization.
        layers: number of layers in the stack; unused.
        streams: number of residual streams, the rows of H.
        dynamic: whether a, A and b also depend on the token, through tanh(norm(H) W).
    Raises:
        Refused: if ``streams`` is not positive.
    Source: Zhu et al. 2024.
    """

    final_norm: ClassVar[bool] = True

    def __init__(
        self,
        dim: int,
        norm: Callable[[int], Norm],
        sublayers: int,
        layer: int,
        layers: int,
        *,
        streams: int = 4,
        dynamic: bool = True,
    ) -> None:
        super().__init__()
        require_positive("streams", streams)
        self.dim, self.streams = dim, streams
        self.norms = nn.ModuleList(norm(dim) for _ in range(sublayers))
        self.connections = nn.ModuleList(
            Connection(dim, streams, (layer * sublayers + i) % streams, norm(dim) if dynamic else None)
            for i in range(sublayers)
        )

    def widen(self, x: Tensor) -> Tensor:
        """Copies ``[batch, length, dim]`` to every stream; returns ``[batch, length, streams, dim]``."""
        return x.unsqueeze(-2).expand(*x.shape[:-1], self.streams, self.dim)

    def narrow(self, x: Tensor) -> Tensor:
        """Sums the streams ``[batch, length, streams, dim]`` to ``[batch, length, dim]``."""
        return x.sum(dim=-2)

    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Applies the sublayers, each to ``[batch, length, dim]``, to streams ``[batch, length, streams, dim]``."""
        for connection, norm, sublayer in zip(self.connections, self.norms, sublayers, strict=True):
            read, mixed, write = connection(x)
            x = mixed + write.unsqueeze(-1) * sublayer(norm(read)).unsqueeze(-2)
        return x

    def flops(self, mask: Mask) -> int:
        """Counts the mixing, and the matrix product that computes the dynamic weights."""
        mixing = sum(2 * c.mix.numel() * self.dim for c in self._list_connections())
        weights = sum(2 * self.streams * c.weight.numel() for c in self._list_connections() if c.norm is not None)
        return mask.query.length * (mixing + weights)

    def _list_connections(self) -> list[Connection]:
        return [connection for connection in self.connections if isinstance(connection, Connection)]

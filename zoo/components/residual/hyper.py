"""Several residual streams, and learned connections between them and the sublayers."""

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
    """How one sublayer reads the streams, how they mix meanwhile, and how much of its output each takes.

    Args:
        dim: features per token.
        streams: how many there are.
        first: the stream that is read at first.
        norm: of the streams, from which the dynamic weights come; None leaves the static ones.
    """

    roles: ClassVar[Mapping[str, Role]] = {"weight": "matrix"}

    def __init__(self, dim: int, streams: int, first: int, norm: Norm | None) -> None:
        super().__init__()
        read = torch.zeros(streams, 1)
        read[first] = 1.0
        # Static coefficients, which do not decay: [streams, 1 + streams], flattened.
        self.mix = nn.Parameter(torch.cat([read, torch.eye(streams)], dim=1).flatten())
        self.write = nn.Parameter(torch.ones(streams))
        self.norm = norm
        if norm is not None:
            self.weight = nn.Parameter(torch.zeros(streams + 2, dim))
            self.mix_scale = nn.Parameter(torch.full((1,), 0.01))
            self.write_scale = nn.Parameter(torch.full((1,), 0.01))

    def forward(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the sublayer reads of ``[batch, length, streams, dim]``, the mixed streams, the weights of writing."""
        mix: Tensor = self.mix.view(h.shape[-2], -1)
        write: Tensor = self.write
        if self.norm is not None:
            moved = torch.tanh(F.linear(self.norm(h), self.weight))
            mix = mix + self.mix_scale * moved[..., :-1]
            write = write + self.write_scale * moved[..., -1]
        mixed = mix.mT @ h
        return mixed[..., 0, :], mixed[..., 1:, :], write

    if TYPE_CHECKING:
        __call__ = forward


@final
@register("residual", "hyper", paper="arXiv:2409.19606")
class HyperConnections(Residual):
    """H ← Aᵀ H + b f(norm(aᵀ H)) for each sublayer f, with learned a, A and b; H holds several streams of x.

    All streams begin as x and are summed at the end, where one more norm stands. At first each sublayer reads one
    stream, each in turn, and all streams take all of its output: the model begins as with ``pre``. The paper also
    multiplies the first output matrices of sublayers with √streams; here they begin as everywhere.

    Args:
        dim: features per token.
        norm: makes a norm of a given width.
        sublayers: how many sublayers the layer has.
        layer: which layer this is, from 0: it decides which stream is read at first.
        layers: how many layers there are; not used.
        streams: how many rows H has.
        dynamic: a, A and b also depend on the token, by tanh(norm(H) W).
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
        """``[batch, length, dim]`` to streams ``[batch, length, streams, dim]``, all alike."""
        return x.unsqueeze(-2).expand(*x.shape[:-1], self.streams, self.dim)

    def narrow(self, x: Tensor) -> Tensor:
        """The sum of the streams."""
        return x.sum(dim=-2)

    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Pass streams ``[batch, length, streams, dim]`` through the sublayers, which see one ``[…, dim]``."""
        for connection, norm, sublayer in zip(self.connections, self.norms, sublayers, strict=True):
            read, mixed, write = connection(x)
            x = mixed + write.unsqueeze(-1) * sublayer(norm(read)).unsqueeze(-2)
        return x

    def flops(self, mask: Mask) -> int:
        """The mixing, and the product that makes dynamic weights."""
        mixing = sum(2 * c.mix.numel() * self.dim for c in self._connections())
        weights = sum(2 * self.streams * c.weight.numel() for c in self._connections() if c.norm is not None)
        return mask.query.length * (mixing + weights)

    def _connections(self) -> list[Connection]:
        return [connection for connection in self.connections if isinstance(connection, Connection)]

"""Mixing by Fourier transform."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.model.cache import Cache
from zoo.model.interfaces import Attention, Norm, Position
from zoo.model.mask import Mask
from zoo.model.packing import PackedDocuments
from zoo.registry import register


@final
@register("attention", "fourier", paper="arXiv:2105.03824")
class FourierMixing(Attention):
    """Re(F x Fᵀ): the real part of the discrete Fourier transform over the tokens of a document and their features.

    It has no parameters. The transform is a fast one, without matrix products: it counts as no operations.

    Args:
        dim: features per token.
        heads: not used.
        head_dim: not used.
        norm: not used.
        unitary: whether both transforms keep the norm of what they act on; in the paper they do not, so that what is
            mixed grows with the length and a norm has to follow (residual post).
    Source: Lee-Thorp et al. 2021 (FNet).
    """

    supports: ClassVar[frozenset[str]] = frozenset({"full", "packed"})

    def __init__(
        self, dim: int, heads: int, head_dim: int, norm: Callable[[int], Norm], *, unitary: bool = False
    ) -> None:
        super().__init__()
        self.scaling = "ortho" if unitary else "backward"

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """``[batch, length, dim]`` to the same shape; zero at padding."""
        segment = mask.query.segment
        if segment is None:
            return self._mix(x)
        documents = PackedDocuments(segment)
        rows = documents.unpack(x)
        mixed = torch.zeros_like(rows)
        for length in documents.lengths.unique().tolist():
            alike = (documents.lengths == length).nonzero()[:, 0]
            filled = F.pad(self._mix(rows[alike, :length]), (0, 0, 0, rows.shape[1] - length))
            mixed = mixed.index_put((alike,), filled)
        return documents.pack(mixed)

    def _mix(self, x: Tensor) -> Tensor:
        """Of ``[documents, length, dim]``, at least in float32, which transforms ask for."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mixed: Tensor = torch.fft.fft2(wide, norm=self.scaling).real
        return mixed.to(x.dtype)

"""Token mixing by Fourier transform."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.components.attention._precision import upcast
from zoo.model.cache import Cache
from zoo.model.interfaces import Attention, Norm, Position
from zoo.model.mask import Mask
from zoo.model.packing import PackedDocuments
from zoo.registry import register


@final
@register("attention", "fourier", paper="arXiv:2105.03824")
class FourierMixing(Attention):
    """Fourier mixing (FNet): the real part of the 2D discrete Fourier transform over tokens and features of a document.

    Re(F x Fᵀ), without parameters. The fast Fourier transform has no matrix products, so it counts as no operations.

    Args:
        dim: features per token.
        heads: unused.
        head_dim: unused.
        norm: unused.
        unitary: if true, scales the transforms so that they preserve norms. In the paper they are not scaled, so that
            outputs grow with the length and a norm must follow (residual ``post``).
    Source: Lee-Thorp et al. 2021 (FNet).
    """

    supports: ClassVar[frozenset[str]] = frozenset({"full", "packed"})
    graph_break: ClassVar[str] = "the lengths of packed documents are known only at run time"

    def __init__(
        self, dim: int, heads: int, head_dim: int, norm: Callable[[int], Norm], *, unitary: bool = False
    ) -> None:
        super().__init__()
        self.scaling = "ortho" if unitary else "backward"

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """Maps ``[batch, length, dim]`` to the same shape; the output is zero at padding."""
        segment = mask.query.segment
        if segment is None:
            return self._mix(x)
        mixed: Tensor = self._mix_documents(x, segment)
        return mixed

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _mix_documents(self, x: Tensor, segment: Tensor) -> Tensor:
        documents = PackedDocuments(segment)
        rows = documents.unpack(x)  # [documents, longest, dim]
        mixed = torch.zeros_like(rows)
        for length in documents.lengths.unique().tolist():  # padding would change a transform: one batch per length
            selected = (documents.lengths == length).nonzero()[:, 0]
            padded = F.pad(self._mix(rows[selected, :length]), (0, 0, 0, rows.shape[1] - length))
            mixed = mixed.index_put((selected,), padded)
        return documents.pack(mixed)

    def _mix(self, x: Tensor) -> Tensor:
        """Transforms ``[documents, length, dim]``; torch has no transform in half precision."""
        mixed: Tensor = torch.fft.fft2(upcast(x), norm=self.scaling).real
        return mixed.to(x.dtype)

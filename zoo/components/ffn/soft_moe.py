"""Soft mixture of experts."""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_positive
from zoo.components.ffn._expert_weights import Experts
from zoo.model.activation import Activation
from zoo.model.interfaces import FeedForward, count_linear_flops
from zoo.model.mask import Mask, Tokens
from zoo.model.packing import PackedDocuments
from zoo.registry import register


@final
@register("ffn", "soft_moe", paper="arXiv:2308.00951")
class SoftMoe(FeedForward):
    """Computes softmax(L) experts(softmax(Lᵀ) x) with L = x̂ Φ̂: experts process slots, weighted means of tokens.

    The means are over the tokens of a document. Tokens x and slot vectors Φ are scaled to unit norm, and the slot
    vectors are multiplied by a learned scalar.

    Args:
        dim: features per token.
        hidden: output features of gate and up of one expert.
        experts: number of experts, each a gated MLP.
        slots: number of slots per expert and document.
        activation: activation function of the gate.
        bias: whether the experts have biases.
    Raises:
        Refused: if ``slots`` is not positive.
    Source: Puigcerver et al. 2024.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"full", "packed"})
    graph_break: ClassVar[str] = "the lengths of packed documents are known only at run time"

    def __init__(
        self,
        dim: int,
        hidden: int,
        *,
        experts: int = 4,
        slots: int = 1,
        activation: Activation = "silu",
        bias: bool = False,
    ) -> None:
        super().__init__()
        require_positive("slots", slots)
        self.experts = Experts(experts, dim, hidden, activation, bias)
        self.slots = nn.Linear(dim, experts * slots, bias=False)
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        """Maps ``[batch, length, dim]`` to the same shape."""
        if tokens.segment is None:
            return self._mix(x, None)
        mixed: Tensor = self._mix_documents(x, tokens.segment.expand(x.shape[:2]))
        return mixed

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _mix_documents(self, x: Tensor, segment: Tensor) -> Tensor:
        documents = PackedDocuments(segment)
        return documents.pack(self._mix(documents.unpack(x), documents.lengths))

    def _mix(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Maps documents ``[documents, longest, dim]`` to the same shape; None: all have the length ``longest``."""
        logits = F.linear(F.normalize(x, dim=-1), self.scale * F.normalize(self.slots.weight, dim=-1))
        masked = logits
        if lengths is not None:
            beyond = torch.arange(x.shape[1], device=x.device) >= lengths[:, None]
            masked = logits.masked_fill(beyond[..., None], -torch.inf)
        means = masked.softmax(dim=1).mT.to(x.dtype) @ x  # [documents, experts * slots, dim]
        documents, slots, dim = means.shape
        slots //= self.experts.count
        out = self.experts(means.view(documents, self.experts.count, slots, dim).transpose(0, 1).flatten(1, 2))
        out = out.view(self.experts.count, documents, slots, dim).transpose(0, 1).flatten(1, 2)
        mixed: Tensor = logits.softmax(dim=-1).to(x.dtype) @ out
        return mixed

    def flops(self, mask: Mask) -> int:
        """Counts the logits and two weighted means for each token, and the experts for each slot of each document."""
        segment = mask.query.segment
        documents = 1 if segment is None else len(PackedDocuments(segment).lengths)
        slots = self.slots.out_features // self.experts.count
        return 3 * mask.query.length * count_linear_flops(self.slots) + documents * slots * count_linear_flops(
            self.experts
        )

"""Mixture of experts with expert-choice routing."""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from zoo.checks import require, require_between, require_positive
from zoo.components.ffn._expert_weights import Experts
from zoo.model.activation import Activation
from zoo.model.interfaces import FeedForward, count_linear_flops
from zoo.model.mask import Mask, Tokens
from zoo.model.packing import PackedDocuments
from zoo.registry import register


@final
@register("ffn", "expert_choice", paper="arXiv:2202.09368")
class ExpertChoice(FeedForward):
    """Mixture of experts in which each expert selects its top tokens of a document, so that the load is balanced.

    A token is processed by every expert that selects it, possibly by none. Scores are a softmax over the experts.

    Args:
        dim: features per token.
        hidden: output features of gate and up of one expert.
        experts: number of experts, each a gated MLP.
        capacity: average number of experts per token; each expert selects ⌈tokens * capacity / experts⌉ tokens.
        activation: activation function of the gate.
        bias: whether the experts have biases.
    Raises:
        Refused: if there are fewer than 2 experts, or if ``capacity`` is not positive or exceeds ``experts``.
    Source: Zhou et al. 2022.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"full", "packed"})
    graph_break: ClassVar[str] = "the lengths of packed documents are known only at run time"

    def __init__(
        self,
        dim: int,
        hidden: int,
        *,
        experts: int = 4,
        capacity: float = 2.0,
        activation: Activation = "silu",
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.experts = Experts(experts, dim, hidden, activation, bias)
        require_positive("capacity", capacity)
        require(experts > 1, f"experts must be at least 2, since one leaves no choice: got experts={experts}")
        require_between("capacity", capacity, 0, experts)
        self.capacity = capacity
        self.router = nn.Linear(dim, experts, bias=False)

    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        """Maps ``[batch, length, dim]`` to the same shape."""
        scores = self.router(x).softmax(dim=-1, dtype=torch.promote_types(x.dtype, torch.float32))
        if tokens.segment is None:
            return self._mix(x, scores, None)
        mixed: Tensor = self._mix_documents(x, scores, tokens.segment.expand(x.shape[:2]))
        return mixed

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _mix_documents(self, x: Tensor, scores: Tensor, segment: Tensor) -> Tensor:
        documents = PackedDocuments(segment)
        return documents.pack(self._mix(documents.unpack(x), documents.unpack(scores), documents.lengths))

    def _mix(self, x: Tensor, scores: Tensor, lengths: Tensor | None) -> Tensor:
        """Maps documents ``[documents, longest, dim]`` to the same shape; None: all have the length ``longest``."""
        documents, longest, dim = x.shape
        count = self._count_selected(longest)
        if lengths is not None:  # padding after the end of a document is never selected before its tokens
            beyond = torch.arange(longest, device=x.device) >= lengths[:, None]
            scores = scores.masked_fill(beyond[..., None], -1.0)
        weights, chosen = scores.transpose(1, 2).topk(count, dim=-1)  # [documents, experts, count]
        if lengths is not None:  # experts select fewer tokens of a shorter document
            counts = torch.tensor([self._count_selected(length) for length in lengths.tolist()], device=x.device)
            weights = weights.masked_fill(torch.arange(count, device=x.device) >= counts[:, None, None], 0.0)
        place = (chosen + longest * torch.arange(documents, device=x.device)[:, None, None]).transpose(0, 1).flatten(1)
        out = self.experts(x.flatten(0, 1)[place])
        out = (out * weights.transpose(0, 1).flatten(1)[..., None]).to(x.dtype)
        return x.new_zeros(documents * longest, dim).index_add(0, place.flatten(), out.flatten(0, 1)).view_as(x)

    def _count_selected(self, length: int) -> int:
        """Returns the number of tokens that each expert selects from a document of ``length`` tokens."""
        return math.ceil(length * self.capacity / self.experts.count)

    def flops(self, mask: Mask) -> int:
        """Counts the router for each token, and the experts for the tokens that they select."""
        segment = mask.query.segment
        lengths = [mask.query.length] if segment is None else PackedDocuments(segment).lengths.tolist()
        selected = sum(self._count_selected(length) for length in lengths)
        return mask.query.length * count_linear_flops(self.router) + selected * count_linear_flops(self.experts)

    def count_active_parameters(self) -> int:
        """Counts the router and ``capacity`` experts, the average per token."""
        return super().count_active_parameters() - round((self.experts.count - self.capacity) * self.experts.size)

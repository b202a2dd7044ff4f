"""The soft mixture of experts."""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_positive
from zoo.components.ffn._expert_weights import Experts
from zoo.model.activation import Activation
from zoo.model.interfaces import FeedForward, linear_flops
from zoo.model.mask import Mask, Tokens
from zoo.model.packing import Documents
from zoo.registry import register


@final
@register("ffn", "soft_moe", paper="arXiv:2308.00951")
class SoftMoe(FeedForward):
    """softmax(L) experts(softmax(Lᵀ) x), L = x̂ Φ̂: experts work on slots, each a mean of all tokens of a document.

    Token vectors and slot vectors are brought to length one, and slot vectors multiplied with one learned number.

    Args:
        dim: features per token.
        hidden: features of gate and of up of one expert.
        experts: how many there are; gated perceptrons.
        slots: means that each expert works on, of each document.
        activation: the function on the gate.
        bias: whether experts have biases.
    Source: Puigcerver et al. 2024.
    """

    sees: ClassVar[frozenset[str]] = frozenset({"full", "packed"})

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
        """``[batch, length, dim]`` to the same shape."""
        if tokens.segment is None:
            return self._mix(x, None)
        documents = Documents(tokens.segment.expand(x.shape[:2]))
        return documents.together(self._mix(documents.apart(x), documents.lengths))

    def _mix(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Documents ``[documents, longest, dim]`` of these lengths, None being the longest, to the same shape."""
        logits = F.linear(F.normalize(x, dim=-1), self.scale * F.normalize(self.slots.weight, dim=-1))
        seen = logits
        if lengths is not None:
            beyond = torch.arange(x.shape[1], device=x.device) >= lengths[:, None]
            seen = logits.masked_fill(beyond[..., None], -torch.inf)
        means = seen.softmax(dim=1).mT.to(x.dtype) @ x  # [documents, experts * slots, dim]
        documents, slots, dim = means.shape
        slots //= self.experts.count
        out = self.experts(means.view(documents, self.experts.count, slots, dim).transpose(0, 1).flatten(1, 2))
        out = out.view(self.experts.count, documents, slots, dim).transpose(0, 1).flatten(1, 2)
        mixed: Tensor = logits.softmax(dim=-1).to(x.dtype) @ out
        return mixed

    def flops(self, mask: Mask) -> int:
        """Logits and two averages for each token, and the experts for each slot of each document."""
        segment = mask.query.segment
        documents = 1 if segment is None else len(Documents(segment).lengths)
        slots = self.slots.out_features // self.experts.count
        return 3 * mask.query.length * linear_flops(self.slots) + documents * slots * linear_flops(self.experts)

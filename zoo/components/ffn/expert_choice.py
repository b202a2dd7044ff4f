"""Experts that choose tokens."""

from __future__ import annotations

import math
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from zoo.checks import require, require_between, require_positive
from zoo.components.ffn._expert_weights import Experts
from zoo.model.activation import Activation
from zoo.model.interfaces import FeedForward, linear_flops
from zoo.model.mask import Mask, Tokens
from zoo.model.packing import Documents
from zoo.registry import register


@final
@register("ffn", "expert_choice", paper="arXiv:2202.09368")
class ExpertChoice(FeedForward):
    """Each expert takes the tokens of a document that score best with it, always as many: load is even by design.

    A token goes to as many experts as chose it, which may be none. Scores are a softmax over experts.

    Args:
        dim: features per token.
        hidden: features of gate and of up of one expert.
        experts: how many there are; gated perceptrons.
        capacity: experts that a token goes to on average; an expert takes ⌈tokens * capacity / experts⌉.
        activation: the function on the gate.
        bias: whether experts have biases.
    Source: Zhou et al. 2022.
    """

    sees: ClassVar[frozenset[str]] = frozenset({"full", "packed"})

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
        require(experts > 1, f"experts must be at least 2, for there is nothing to choose: got experts={experts}")
        require_between("capacity", capacity, 0, experts)
        self.capacity = capacity
        self.router = nn.Linear(dim, experts, bias=False)

    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        """``[batch, length, dim]`` to the same shape."""
        scores = self.router(x).softmax(dim=-1, dtype=torch.promote_types(x.dtype, torch.float32))
        if tokens.segment is None:
            return self._mix(x, scores, None)
        documents = Documents(tokens.segment.expand(x.shape[:2]))
        return documents.together(self._mix(documents.apart(x), documents.apart(scores), documents.lengths))

    def _mix(self, x: Tensor, scores: Tensor, lengths: Tensor | None) -> Tensor:
        """Documents ``[documents, longest, dim]`` of these lengths, None being the longest, to the same shape."""
        documents, longest, dim = x.shape
        count = self._taken(longest)
        if lengths is not None:  # behind a document's end there is nothing to choose
            beyond = torch.arange(longest, device=x.device) >= lengths[:, None]
            scores = scores.masked_fill(beyond[..., None], -1.0)
        weights, chosen = scores.transpose(1, 2).topk(count, dim=-1)  # [documents, experts, count]
        if lengths is not None:  # a shorter document has room for fewer
            taken = torch.tensor([self._taken(length) for length in lengths.tolist()], device=x.device)
            weights = weights.masked_fill(torch.arange(count, device=x.device) >= taken[:, None, None], 0.0)
        place = (chosen + longest * torch.arange(documents, device=x.device)[:, None, None]).transpose(0, 1).flatten(1)
        out = self.experts(x.flatten(0, 1)[place])
        out = (out * weights.transpose(0, 1).flatten(1)[..., None]).to(x.dtype)
        return x.new_zeros(documents * longest, dim).index_add(0, place.flatten(), out.flatten(0, 1)).view_as(x)

    def _taken(self, length: int) -> int:
        """How many tokens an expert takes of a document."""
        return math.ceil(length * self.capacity / self.experts.count)

    def flops(self, mask: Mask) -> int:
        """The router for each token, and what each expert takes of each document."""
        segment = mask.query.segment
        lengths = [mask.query.length] if segment is None else Documents(segment).lengths.tolist()
        rows = sum(self._taken(length) for length in lengths)
        return mask.query.length * linear_flops(self.router) + rows * linear_flops(self.experts)

    def active(self) -> int:
        """The router, and ``capacity`` experts: what a token has on average."""
        return super().active() - round((self.experts.count - self.capacity) * self.experts.size)

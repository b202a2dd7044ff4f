"""Mixture of experts with token-choice routing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor, nn

from zoo.checks import require
from zoo.components.ffn._expert_weights import Experts
from zoo.components.ffn._router import Router, TopK
from zoo.components.ffn.gated import Gated
from zoo.model.activation import Activation
from zoo.model.interfaces import FeedForward, count_linear_flops
from zoo.model.mask import Mask, Tokens
from zoo.model.projections import BatchedLinear
from zoo.registry import register


@final
@register("ffn", "moe", paper="arXiv:1701.06538")
class Moe(FeedForward):
    """Weighted sum of the outputs of the ``router.top_k`` experts selected for each token; no token is dropped.

    Args:
        dim: features per token.
        hidden: output features of gate and up of one expert.
        experts: number of experts to select from, each a gated MLP.
        shared: number of shared experts, which process every token, as one MLP (DeepSeekMoE, arXiv:2401.06066).
        shared_gate: whether the output of the shared experts is multiplied by a sigmoid gate for each token (Qwen2).
        activation: activation function of the gate.
        bias: whether the experts have biases.
        clamp: upper bound of gate, and bound of the absolute value of up (gpt-oss, 2025); null for no bound.
        up_offset: value added to up (gpt-oss: 1).
        router: options of the routing and of the load balancing.
    Raises:
        Refused: if the options of the router are invalid for the number of experts, or if one would have no effect.
    Source: Shazeer et al. 2017; Jiang et al. 2024 (arXiv:2401.04088).
    """

    def __init__(
        self,
        dim: int,
        hidden: int,
        *,
        experts: int = 4,
        shared: int = 0,
        shared_gate: bool = False,
        activation: Activation = "silu",
        bias: bool = False,
        clamp: float | None = None,
        up_offset: float = 0.0,
        router: Router = Router(),
    ) -> None:
        super().__init__()
        require(experts > 1, f"experts must be at least 2, since one leaves no choice: got experts={experts}")
        require(shared >= 0, f"shared must not be negative: got shared={shared}")
        require(shared > 0 or not shared_gate, f"shared_gate needs shared experts: got shared={shared}")
        self.router = TopK(dim, experts, router)
        self.experts = Experts(experts, dim, hidden, activation, bias, clamp, up_offset)
        self.shared = (
            Gated(dim, shared * hidden, activation=activation, bias=bias, clamp=clamp, up_offset=up_offset)
            if shared
            else None
        )
        self.shared_gate = nn.Linear(dim, 1, bias=False) if shared_gate else None

    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        """Maps ``[batch, length, dim]`` to the same shape."""
        real = None if tokens.segment is None else (tokens.segment >= 0).expand(x.shape[:2])
        chosen, weights = self.router(x, real)
        experts = _dispatch(self.experts, x.flatten(0, 1), chosen.flatten(0, 1))
        routed: Tensor = (experts * weights.flatten(0, 1)[..., None]).sum(dim=1)
        out = routed.to(x.dtype).view_as(x)
        if self.shared is not None:
            shared = self.shared(x, tokens)
            out = out + (shared if self.shared_gate is None else self.shared_gate(x).sigmoid() * shared)
        return out

    def flops(self, mask: Mask) -> int:
        """Counts the router, the shared experts and ``top_k`` other experts for each token."""
        return (
            super().flops(mask)
            - mask.query.length * count_linear_flops(self.experts) // self.experts.count * self._idle
        )

    def count_active_parameters(self) -> int:
        """Counts all parameters except those of the experts that are not selected for a token."""
        return super().count_active_parameters() - self.experts.size * self._idle

    def get_branch_weights(self) -> Iterator[Tensor]:
        """Yields the matrices of the experts, without the router, which only selects."""
        for part in (self.experts, self.shared):
            for module in part.modules() if part is not None else ():
                if isinstance(module, nn.Linear | BatchedLinear):
                    yield module.weight

    def losses(self) -> dict[str, Tensor]:
        """Returns the losses of the router."""
        return self.router.losses()

    def update_after_step(self) -> None:
        """Updates the load balancing of the router."""
        self.router.update_after_step()

    @property
    def _idle(self) -> int:
        return self.experts.count - self.router.router.top_k


def _dispatch(experts: Experts, x: Tensor, chosen: Tensor) -> Tensor:
    """Applies the experts ``chosen``, ``[tokens, top_k]``, to ``[tokens, dim]``; returns ``[tokens, top_k, dim]``."""
    groups, order = chosen.flatten().sort(stable=True)  # [tokens * top_k], grouped by expert
    place = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
    numbers = torch.arange(experts.count, device=groups.device)
    ends = torch.searchsorted(groups, numbers, right=True, out_int32=True)  # [experts]
    rows = x.repeat_interleave(chosen.shape[1], dim=0).index_select(0, order)  # so that its gradient is deterministic
    out = experts.apply_groups(rows, groups, ends)
    return out.index_select(0, place).view(*chosen.shape, -1)

"""The mixture of experts."""

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
from zoo.model.interfaces import FeedForward, linear_flops
from zoo.model.mask import Mask, Tokens
from zoo.model.projections import BatchedLinear
from zoo.registry import register


@final
@register("ffn", "moe", paper="arXiv:1701.06538")
class Moe(FeedForward):
    """Each token goes to its ``router.top_k`` best experts, and none is dropped: the weighted sum of gated perceptrons.

    Args:
        dim: features per token.
        hidden: features of gate and of up of one expert.
        experts: how many there are.
        shared: further experts that every token goes to; they are one perceptron (DeepSeekMoE, arXiv:2401.06066).
        shared_gate: whether each token weighs the shared experts by a sigmoid (Qwen2).
        activation: the function on the gate.
        bias: whether experts have biases.
        clamp: gate is at most this, and up between its negative and this (gpt-oss, 2025); null is no limit.
        up_offset: what is added to up (gpt-oss: 1).
        router: how tokens choose experts, and what keeps the load even.
    Raises:
        Refused: if the router cannot choose so many, or an option of it would do nothing.
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
        require(experts > 1, f"experts must be at least 2, for there is nothing to choose: got experts={experts}")
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
        """``[batch, length, dim]`` to the same shape."""
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
        """Router, shared experts, and ``top_k`` of the others for each token."""
        return super().flops(mask) - mask.query.length * linear_flops(self.experts) // self.experts.count * self._idle

    def active(self) -> int:
        """All but the experts that a token does not go to."""
        return super().active() - self.experts.size * self._idle

    def branch_weights(self) -> Iterator[Tensor]:
        """Those of experts; the router only steers."""
        for part in (self.experts, self.shared):
            for module in part.modules() if part is not None else ():
                if isinstance(module, nn.Linear | BatchedLinear):
                    yield module.weight

    def losses(self) -> dict[str, Tensor]:
        """The router's."""
        return self.router.losses()

    def after_step(self) -> None:
        """The router's."""
        self.router.after_step()

    @property
    def _idle(self) -> int:
        return self.experts.count - self.router.router.top_k


@torch.compiler.disable  # type: ignore[untyped-decorator]  # how many tokens an expert has is known at run time
def _dispatch(experts: Experts, x: Tensor, chosen: Tensor) -> Tensor:
    """Tokens ``[tokens, dim]`` through their experts ``[tokens, top_k]``: ``[tokens, top_k, dim]``."""
    order = chosen.flatten().argsort(stable=True)  # all that goes to the first expert, then to the second, …
    parts = torch.split(x[order // chosen.shape[1]], _sizes(experts.count, chosen))
    out = torch.cat(experts.each(parts))[order.argsort()]
    return out.view(*chosen.shape, -1)


def _sizes(experts: int, chosen: Tensor) -> list[int]:
    """How many tokens each expert has; on the meta device, where nobody knows, as if load were even."""
    if chosen.is_meta:
        return [(chosen.numel() + i) // experts for i in range(experts)]
    sizes: list[int] = chosen.flatten().bincount(minlength=experts).tolist()
    return sizes

"""Which experts a token goes to, and what keeps their load even; not a component itself."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, Literal, final

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require, require_between, require_divides, require_positive


@dataclass(frozen=True)
class Router:
    """How tokens choose experts.

    To normalize softmax scores of the chosen is the same as a softmax over the chosen alone (Mixtral, gpt-oss).

    Args:
        score: what makes scores of the router's logits, over all experts or of each alone (DeepSeek-V3).
        top_k: experts that a token goes to.
        normalize: whether the weights of the chosen add up to one.
        scaling: what the weights are multiplied with after that.
        groups: experts stand in groups, and a token chooses among those of its best groups only (DeepSeek-V2).
        top_groups: how many groups these are.
        group_score: the score of a group: that of its best expert (DeepSeek-V2), or of its two best added (V3).
        learned_bias: whether the logits have a learned term (gpt-oss).
        correction: after each step, a term that is added to the scores when experts are chosen, and not in their
            weights, rises by this for experts with less than the mean load and falls for the others (Wang et al.
            2024, arXiv:2408.15664); 0 keeps the term as it is, null is no such term.
        aux_loss: weight of the load-balancing loss (Fedus et al. 2021), which is 1 where load is even. Each row is
            balanced by itself, as in DeepSeek-V3 (arXiv:2412.19437, equations 17 to 20), and weighs as much as it has
            tokens: a balance of the whole batch would depend on its division into micro-batches and over devices.
        z_loss: weight of the mean square of the logits' log-sum-exp (Zoph et al. 2022, arXiv:2202.08906).
    """

    score: Literal["softmax", "sigmoid"] = "softmax"
    top_k: int = 2
    normalize: bool = True
    scaling: float = 1.0
    groups: int = 1
    top_groups: int = 1
    group_score: Literal["max", "top_two"] = "max"
    learned_bias: bool = False
    correction: float | None = None
    aux_loss: float = 0.0
    z_loss: float = 0.0

    def check(self, experts: int) -> None:
        """Refuse what makes no sense for so many experts."""
        require_divides("router.groups", self.groups, "experts", experts)
        require_between("router.top_groups", self.top_groups, 1, self.groups)
        size = experts // self.groups
        require_between("router.top_k", self.top_k, 1, self.top_groups * size)
        require_positive("router.scaling", self.scaling)
        for name in ("correction", "aux_loss", "z_loss"):
            value = getattr(self, name) or 0.0
            require(value >= 0, f"router.{name} must not be negative: got router.{name}={value}")
        require(
            self.group_score == "max" or (self.groups > 1 and size > 1),
            f"router.group_score=top_two needs several groups of two experts or more: "
            f"got router.groups={self.groups}, experts={experts}",
        )
        require(
            self.top_k > 1 or not self.normalize,
            "router.normalize must be false where router.top_k=1: every weight would be one, and nothing be learned",
        )


@final
class TopK(nn.Module):
    """The router itself.

    Args:
        dim: features per token.
        experts: how many there are to choose from.
        router: how they are chosen.
    """

    correction: Tensor | None

    def __init__(self, dim: int, experts: int, router: Router) -> None:
        super().__init__()
        router.check(experts)
        self.experts, self.router = experts, router
        self.logits = nn.Linear(dim, experts, bias=router.learned_bias)
        self.register_buffer("correction", None if router.correction is None else torch.zeros(experts))
        self._terms: dict[str, Tensor] = {}
        self._load: Tensor | None = None

    def forward(self, x: Tensor, real: Tensor | None) -> tuple[Tensor, Tensor]:
        """Choose experts; in training, remember what that says of their load.

        Args:
            x: ``[batch, length, dim]``.
            real: ``[batch, length]``, false at padding; None is no padding.
        Returns:
            numbers of the chosen experts and their weights, each ``[batch, length, top_k]``.
        """
        logits = self._logits(x)
        scores = logits.softmax(dim=-1) if self.router.score == "softmax" else logits.sigmoid()
        chosen = self._choose(scores.detach())
        weights = scores.gather(-1, chosen)
        if self.router.normalize:
            weights = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-20)
        if self.training:
            self._remember(logits, scores, chosen, torch.ones_like(chosen[..., 0]) if real is None else real)
        return chosen, weights * self.router.scaling

    def losses(self) -> dict[str, Tensor]:
        """What was remembered since this was asked last."""
        terms, self._terms = self._terms, {}
        return terms

    @torch.no_grad()
    def after_step(self) -> None:
        """Make experts with little load likelier, and those with much less likely."""
        load, self._load = self._load, None
        if load is None or self.correction is None or self.router.correction is None:
            return
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(load)
        self.correction += self.router.correction * (load.sum() - load * self.experts).sign()

    def _logits(self, x: Tensor) -> Tensor:
        """``[…, dim]`` to ``[…, experts]`` in float32 or wider, for small differences decide."""
        wide = torch.promote_types(x.dtype, torch.float32)
        bias = None if self.logits.bias is None else self.logits.bias.to(wide)
        with contextlib.nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False):
            return F.linear(x.to(wide), self.logits.weight.to(wide), bias)

    def _choose(self, scores: Tensor) -> Tensor:
        """``[…, experts]`` to the numbers of the chosen ``[…, top_k]``."""
        router = self.router
        if self.correction is not None:
            scores = scores + self.correction
        if router.groups > 1:
            groups = scores.view(*scores.shape[:-1], router.groups, -1)
            best = groups.topk(1 if router.group_score == "max" else 2, dim=-1).values.sum(dim=-1)
            open_ = torch.zeros_like(best, dtype=torch.bool)
            open_ = open_.scatter(-1, best.topk(router.top_groups, dim=-1).indices, True)
            scores = groups.masked_fill(~open_[..., None], -torch.inf).flatten(-2)
        return scores.topk(router.top_k, dim=-1).indices

    def _remember(self, logits: Tensor, scores: Tensor, chosen: Tensor, real: Tensor) -> None:
        """Load and terms of the loss; a layer that is applied again adds to them."""
        counted = real.long()[..., None].expand_as(chosen)
        load = torch.zeros(len(chosen), self.experts, dtype=torch.long, device=chosen.device)
        load = load.scatter_add(1, chosen.flatten(1), counted.flatten(1))  # [batch, experts]
        total = load.sum(dim=0)
        self._load = total if self._load is None else self._load.to(total.device) + total
        length, count = real.sum(dim=1, keepdim=True), real.sum().clamp(min=1)
        real = real.to(logits.dtype)
        if self.router.aux_loss:
            share = load / (length * self.router.top_k).clamp(min=1)
            # Of a row share · mean of probabilities, as often as it has tokens: share · sum of probabilities.
            probability = (real[:, None] @ (scores / scores.sum(dim=-1, keepdim=True)))[:, 0]
            self._add("load_balance", self.router.aux_loss * self.experts * (share * probability).sum() / count)
        if self.router.z_loss:
            self._add("router_z", self.router.z_loss * (real * logits.logsumexp(dim=-1).square()).sum() / count)

    def _add(self, name: str, term: Tensor) -> None:
        self._terms[name] = self._terms[name] + term if name in self._terms else term

    def __getstate__(self) -> dict[str, Any]:
        """Terms hang on the graph of one forward pass and are no part of a copy."""
        return {**self.__dict__, "_terms": {}, "_load": None}

"""Top-k routing of tokens to experts with load balancing; not a component itself."""

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
    """Options of the routing of tokens to experts.

    Normalizing the softmax scores of the selected experts is equivalent to a softmax over their logits (Mixtral,
    gpt-oss).

    Args:
        score: function from logits to scores: softmax over all experts, or sigmoid of each logit (DeepSeek-V3).
        top_k: number of experts selected for each token.
        normalize: whether the weights of the selected experts sum to 1.
        scaling: factor of the weights, applied after normalization.
        groups: number of groups of experts; a token selects experts from its best groups only (DeepSeek-V2).
        top_groups: number of groups that a token selects from.
        group_score: score of a group: that of its best expert (DeepSeek-V2), or the sum of its two best (DeepSeek-V3).
        learned_bias: whether the logits have a learned bias (gpt-oss).
        correction: step size of the bias for loss-free load balancing (Wang et al. 2024, arXiv:2408.15664). The bias is
            added to the scores for the selection of experts, not for their weights. After each step it is increased for
            experts with less than the mean load and decreased for the others; 0 keeps it constant, null for no bias.
        aux_loss: weight of the load-balancing loss (Fedus et al. 2021), which is 1 for an even load. The loss is
            computed for each row, as in DeepSeek-V3 (arXiv:2412.19437, equations 17 to 20), and averaged with the
            number of tokens in each row as weights, so that it does not depend on how a batch is divided into
            micro-batches and over devices.
        z_loss: weight of the mean squared log-sum-exp of the logits (Zoph et al. 2022, arXiv:2202.08906).
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
        """Raises :class:`zoo.checks.Refused` if the options are invalid for a number of experts."""
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
            f"router.group_score=top_two needs at least two groups of at least two experts: "
            f"got router.groups={self.groups}, experts={experts}",
        )
        require(
            self.top_k > 1 or not self.normalize,
            "router.normalize must be false if router.top_k=1: every weight would be 1, and the router would not learn",
        )


@final
class TopK(nn.Module):
    """Selects ``router.top_k`` experts for each token, and computes their weights.

    Args:
        dim: features per token.
        experts: number of experts.
        router: options of the routing.
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
        """Selects experts; in training, also records the load of the experts and the terms of the loss.

        Args:
            x: ``[batch, length, dim]``.
            real: ``[batch, length]``, False at padding; None for no padding.
        Returns:
            indices of the selected experts and their weights, each ``[batch, length, top_k]``.
        """
        logits = self._compute_logits(x)
        scores = logits.softmax(dim=-1) if self.router.score == "softmax" else logits.sigmoid()
        chosen = self._choose(scores.detach())
        weights = scores.gather(-1, chosen)
        if self.router.normalize:
            weights = weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-20)
        if self.training and (self.router.correction or self.router.aux_loss or self.router.z_loss):
            self._record(logits, scores, chosen, torch.ones_like(chosen[..., 0]) if real is None else real)
        return chosen, weights * self.router.scaling

    def losses(self) -> dict[str, Tensor]:
        """Returns the terms of the loss recorded since the last call, and clears them."""
        terms, self._terms = self._terms, {}
        return terms

    @torch.no_grad()
    def update_after_step(self) -> None:
        """Updates the bias for load balancing from the load recorded since the last step."""
        load, self._load = self._load, None
        if load is None or self.correction is None or self.router.correction is None:
            return
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(load)
        self.correction += self.router.correction * (load.sum() - load * self.experts).sign()

    def _compute_logits(self, x: Tensor) -> Tensor:
        """Maps ``[…, dim]`` to ``[…, experts]`` in at least float32, since small differences change the selection."""
        wide = torch.promote_types(x.dtype, torch.float32)
        bias = None if self.logits.bias is None else self.logits.bias.to(wide)
        with contextlib.nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False):
            return F.linear(x.to(wide), self.logits.weight.to(wide), bias)

    def _choose(self, scores: Tensor) -> Tensor:
        """Maps scores ``[…, experts]`` to the indices ``[…, top_k]`` of the selected experts."""
        router = self.router
        if self.correction is not None:
            scores = scores + self.correction
        if router.groups > 1:
            groups = scores.view(*scores.shape[:-1], router.groups, -1)
            best = groups.topk(1 if router.group_score == "max" else 2, dim=-1).values.sum(dim=-1)
            allowed = torch.zeros_like(best, dtype=torch.bool)
            allowed = allowed.scatter(-1, best.topk(router.top_groups, dim=-1).indices, True)
            scores = groups.masked_fill(~allowed[..., None], -torch.inf).flatten(-2)
        return scores.topk(router.top_k, dim=-1).indices

    def _record(self, logits: Tensor, scores: Tensor, chosen: Tensor, real: Tensor) -> None:
        """Adds the load and the terms of the loss to those recorded; a shared layer is applied several times."""
        counted = real.long()[..., None].expand_as(chosen)
        load = torch.zeros(len(chosen), self.experts, dtype=torch.long, device=chosen.device)
        load = load.scatter_add(1, chosen.flatten(1), counted.flatten(1))  # [batch, experts]
        total = load.sum(dim=0)
        self._load = total if self._load is None else self._load.to(total.device) + total
        length, count = real.sum(dim=1, keepdim=True), real.sum().clamp(min=1)
        real = real.to(logits.dtype)
        if self.router.aux_loss:
            share = load / (length * self.router.top_k).clamp(min=1)
            # A row's share · mean probability, weighted by its number of tokens, is share · sum of probabilities.
            probability = (real[:, None] @ (scores / scores.sum(dim=-1, keepdim=True)))[:, 0]
            self._add_term("load_balance", self.router.aux_loss * self.experts * (share * probability).sum() / count)
        if self.router.z_loss:
            self._add_term("router_z", self.router.z_loss * (real * logits.logsumexp(dim=-1).square()).sum() / count)

    def _add_term(self, name: str, term: Tensor) -> None:
        self._terms[name] = self._terms[name] + term if name in self._terms else term

    def __getstate__(self) -> dict[str, Any]:
        """Leaves out the recorded terms, which belong to the graph of one forward pass, from copies and pickles."""
        return {**self.__dict__, "_terms": {}, "_load": None}

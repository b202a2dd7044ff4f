"""The one place where scores meet a kernel.

``attend`` turns queries, keys and values into an average. It takes structure (a mask, a position) and decides which
kernel can carry it, so a new kernel is added here once and every score-forming component has it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.checks import require, require_between, require_positive
from zoo.model.interfaces import Position
from zoo.model.mask import Mask


@dataclass(frozen=True)
class Scores:
    """How scores become weights; every attention that forms scores has this as its option ``scores``.

    Args:
        window: a query at i sees keys at j with ``abs(i - j) < window``; null is no limit (Longformer, 2020).
        softcap: scores are squeezed into ±softcap by tanh (Gemma 2, 2024); null is none.
        scale: what query-key products are multiplied with; null is ``head_dim ** -0.5``.
        dropout: probability that a weight is zeroed in training.
        sinks: each head may look at nothing, with a learned score (gpt-oss, 2025).
    """

    window: int | None = None
    softcap: float | None = None
    scale: float | None = None
    dropout: float = 0.0
    sinks: bool = False

    def __post_init__(self) -> None:
        if self.window is not None:
            require_positive("scores.window", self.window)
            alone = "scores.window=1 lets a token see itself alone, whatever the scores: it needs scores.sinks"
            require(self.window > 1 or self.sinks, f"{alone}: got sinks={self.sinks}")
        if self.softcap is not None:
            require_positive("scores.softcap", self.softcap)
        require(self.scale != 0, "scores.scale must not be zero, for all scores would be: got scores.scale=0")
        require_between("scores.dropout", self.dropout, 0.0, 0.99)


_captures: list[list[Tensor]] = []  # a plain list, for a context variable would break the graph of torch.compile


@contextmanager
def capture() -> Iterator[list[Tensor]]:
    """Collect the weights of every ``attend`` inside the block: ``[batch, heads, query, key]``, one entry a call."""
    weights: list[Tensor] = []
    _captures.append(weights)
    try:
        yield weights
    finally:
        _captures.pop()


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Mask,
    position: Position,
    scores: Scores,
    sinks: Tensor | None = None,
    *,
    allowed: Tensor | None = None,
    asking: Tensor | None = None,
    training: bool = False,
) -> Tensor:
    """Average values by softmax of query-key scores; a query that sees nothing gets zero.

    Args:
        q: queries ``[batch, heads, query, head_dim]``.
        k: keys ``[batch, kv_heads, key, head_dim]``; kv_heads divides heads.
        v: values ``[batch, kv_heads, key, value_dim]``.
        mask: who sees whom; ``scores.window`` narrows it further.
        position: asked for a bias on the scores.
        scores: window, soft-cap, scale and dropout.
        sinks: score of looking at nothing ``[heads]``.
        allowed: what the mask cannot say, bool ``[batch or 1, heads or 1, query, key]``: False hides a key further.
        asking: the queries that the position is asked with, where ``q`` is in another form; None: ``q``.
        training: whether dropout acts.
    Returns:
        ``[batch, heads, query, value_dim]``.
    Source: Vaswani et al. 2017.
    """
    mask = mask.restrict_window(scores.window)
    dropout = scores.dropout if training else 0.0
    bias = position.bias(q if asking is None else asking, mask.query.position, mask.key.position)
    if scores.softcap is not None or _captures:
        return compute_attention(_compute_logits(q, k, bias, scores), v, _materialize(mask, allowed), sinks, dropout)
    grouped, scale = q.shape[1] != k.shape[1], _get_scale(q, scores)
    if bias is None and sinks is None and allowed is None and mask.is_plain:
        causal = mask.causal and mask.query.length > 1
        return F.scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, is_causal=causal, scale=scale, enable_gqa=grouped
        )
    seen = allowed if mask.is_plain and not mask.causal else _materialize(mask, allowed)
    blind = None
    if seen is not None and sinks is None:  # kernels differ in what they give where nothing is seen; cuDNN's is NaN
        blind = ~seen.any(dim=-1, keepdim=True)
        seen = seen | blind
    k, v, additive = _add_sinks(q, k, v, seen, bias, sinks)
    out = F.scaled_dot_product_attention(
        q, k, v, attn_mask=additive, dropout_p=dropout, scale=scale, enable_gqa=grouped
    )
    return out if blind is None else out.masked_fill(blind, 0.0)


def compute_scores(q: Tensor, k: Tensor, mask: Mask, position: Position, scores: Scores) -> Tensor:
    """The scores that ``attend`` forms, -inf where a key is hidden: ``[batch, heads, query, key]``."""
    mask = mask.restrict_window(scores.window)
    bias = position.bias(q, mask.query.position, mask.key.position)
    return _compute_logits(q, k, bias, scores).masked_fill(~_materialize(mask, None), -math.inf)


def compute_attention(
    logits: Tensor, v: Tensor, seen: Tensor, sinks: Tensor | None = None, dropout: float = 0.0
) -> Tensor:
    """Average values by softmax of ``logits``, by the formula; a query that sees nothing gets zero.

    Args:
        logits: ``[batch or 1, heads, query, key]``.
        v: ``[batch, kv_heads, key, value_dim]``.
        seen: bool ``[batch or 1, heads or 1, query, key]``.
        sinks: score of looking at nothing ``[heads]``.
        dropout: probability that a weight is zeroed.
    Returns:
        ``[batch, heads, query, value_dim]``.
    """
    logits = logits.masked_fill(~seen, -math.inf)
    if sinks is not None:
        column = sinks[None, :, None, None].to(logits.dtype).expand(logits.shape[0], -1, logits.shape[2], 1)
        weights = torch.cat([logits, column], dim=-1).softmax(dim=-1)[..., :-1]
    else:
        seeing = seen.any(dim=-1, keepdim=True)
        weights = torch.where(seeing, logits, 0.0).softmax(dim=-1) * seeing
    if _captures:
        _captures[-1].append(weights.detach().expand(len(v), -1, -1, -1))
    v = v.repeat_interleave(weights.shape[1] // v.shape[1], dim=1)
    return F.dropout(weights, dropout, training=dropout > 0) @ v


def _get_scale(q: Tensor, scores: Scores) -> float:
    return scores.scale if scores.scale is not None else 1 / math.sqrt(q.shape[-1])


def _materialize(mask: Mask, allowed: Tensor | None) -> Tensor:
    """True where a key is seen: ``[batch or 1, heads or 1, query, key]``."""
    seen = mask.materialize()[:, None]
    return seen if allowed is None else seen & allowed


def _compute_logits(q: Tensor, k: Tensor, bias: Tensor | None, scores: Scores) -> Tensor:
    """Scores as they are written, of all keys."""
    logits = (q @ k.repeat_interleave(q.shape[1] // k.shape[1], dim=1).mT) * _get_scale(q, scores)
    if scores.softcap is not None:
        logits = scores.softcap * torch.tanh(logits / scores.softcap)
    return logits if bias is None else logits + bias


def _add_sinks(
    q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None, bias: Tensor | None, sinks: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Keys, values and what is added to the scores; a sink is one more key with value zero."""
    if bias is None and sinks is None:
        return k, v, seen
    additive = q.new_zeros(1, 1, q.shape[2], k.shape[2]) if bias is None else bias.to(q.dtype)
    if seen is not None:
        additive = additive.masked_fill(~seen, -math.inf)
    if sinks is not None:
        k, v = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1))
        rows, heads = additive.shape[0], q.shape[1]
        column = sinks.to(q.dtype)[None, :, None, None].expand(rows, heads, q.shape[2], 1)
        additive = torch.cat([additive.expand(rows, heads, -1, -1), column], dim=-1)
    return k, v, additive

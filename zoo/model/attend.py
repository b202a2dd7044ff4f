"""Softmax attention: the one function that calls an attention kernel.

``attend`` takes the mask and the position as structures instead of tensors and picks a kernel that supports them. A new
kernel is added here once and serves every attention that computes scores.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.checks import require, require_between, require_positive
from zoo.model.capture import AttentionRecord, is_fused_kernel_allowed, record_attention
from zoo.model.interfaces import Position
from zoo.model.mask import Mask
from zoo.model.mask_blocks import Blocks, find_blocks


@dataclass(frozen=True)
class Scores:
    """Options of the softmax over scores; every attention that computes scores takes them as its option ``scores``.

    Args:
        window: a query at i attends to keys at j with ``abs(i - j) < window``; null is no limit (Longformer, 2020).
        softcap: scores become softcap * tanh(score / softcap) (Gemma 2, 2024); null is no cap.
        scale: factor of query-key products; null is ``head_dim ** -0.5``.
        dropout: probability of zeroing an attention weight in training.
        sinks: if true, each head has a learned score for attending to no key (gpt-oss, 2025).
    """

    window: int | None = None
    softcap: float | None = None
    scale: float | None = None
    dropout: float = 0.0
    sinks: bool = False

    def __post_init__(self) -> None:
        if self.window is not None:
            require_positive("scores.window", self.window)
            alone = "scores.window=1 needs scores.sinks, since a token that attends only to itself has a weight of 1"
            require(self.window > 1 or self.sinks, f"{alone}: got sinks={self.sinks}")
        if self.softcap is not None:
            require_positive("scores.softcap", self.softcap)
        require(self.scale != 0, "scores.scale must not be zero, since all scores would be zero: got scores.scale=0")
        require_between("scores.dropout", self.dropout, 0.0, 0.99)


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
    """Computes softmax(q kᵀ · scale + bias) v; a query that attends to no key gets zero.

    Args:
        q: queries ``[batch, heads, query, head_dim]``.
        k: keys ``[batch, kv_heads, key, head_dim]``; ``kv_heads`` divides ``heads``.
        v: values ``[batch, kv_heads, key, value_dim]``.
        mask: keys that each query may attend to; ``scores.window`` restricts it further.
        position: position whose ``bias`` is added to the scores.
        scores: window, soft-cap, scale and dropout.
        sinks: scores of attending to no key ``[heads]``, or None.
        allowed: further restriction, bool ``[batch or 1, heads or 1, query, key]``: False hides a key.
        asking: queries for ``position.bias`` where ``q`` has another form (latent attention); None: ``q``.
        training: whether dropout is applied.
    Returns:
        ``[batch, heads, query, value_dim]``.
    Source: Vaswani et al. 2017 (arXiv:1706.03762).
    """
    mask = mask.restrict_window(scores.window)
    if is_fused_kernel_allowed() and allowed is None and (blocks := find_blocks(mask, len(q))) is not None:
        return _attend_in_blocks(blocks, q, k, v, position, scores, sinks, asking, training)
    dropout = scores.dropout if training else 0.0
    bias = position.bias(q if asking is None else asking, mask.query.position, mask.key.position)
    scale = _get_scale(q, scores)
    if scores.softcap is not None or not is_fused_kernel_allowed():
        products = _multiply(q, k)
        logits = _compute_logits(products, scale, scores.softcap, bias)
        return compute_attention(logits, v, _materialize(mask, allowed), sinks, dropout, products=products, scale=scale)
    call = functools.partial(
        F.scaled_dot_product_attention, dropout_p=dropout, scale=scale, enable_gqa=q.shape[1] != k.shape[1]
    )
    if bias is None and sinks is None and allowed is None:
        if mask.is_plain:
            return call(q, k, v, is_causal=mask.causal and mask.query.length > 1)
        out, blind = call(q, k, v, attn_mask=mask.make_additive(_get_kernel_dtype(q))), mask.find_blind()
        return out if blind is None else out.masked_fill(blind[:, None, :, None], 0.0)
    seen = allowed if mask.is_plain and not mask.causal else _materialize(mask, allowed)
    hidden = None
    if seen is not None and sinks is None:
        hidden = _find_blind(mask, allowed, seen)
        seen = seen if hidden is None else seen | hidden
    k, v, additive = _add_sinks(q, k, v, seen, bias, sinks)
    out = call(q, k, v, attn_mask=additive)
    return out if hidden is None else out.masked_fill(hidden, 0.0)


def _attend_in_blocks(
    blocks: Blocks,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    position: Position,
    scores: Scores,
    sinks: Tensor | None,
    asking: Tensor | None,
    training: bool,
) -> Tensor:
    """Attends block by block; arguments are those of ``attend``, whose result it returns."""
    parts = [blocks.split_queries(q), blocks.split_keys(k), blocks.split_keys(v)]
    asked = [None] * len(blocks.items) if asking is None else blocks.split_queries(asking)
    outputs = [
        q.new_zeros(*query.shape[:-1], v.shape[-1])
        if block.mask is None
        else attend(query, key, value, block.mask, position, scores, sinks, asking=other, training=training)
        for block, query, key, value, other in zip(blocks.items, *parts, asked, strict=True)
    ]
    return blocks.join(outputs, len(q))


def compute_scores(q: Tensor, k: Tensor, mask: Mask, position: Position, scores: Scores) -> Tensor:
    """Computes the scores of ``attend``, -inf where a key is hidden: ``[batch, heads, query, key]``."""
    mask = mask.restrict_window(scores.window)
    bias = position.bias(q, mask.query.position, mask.key.position)
    logits = _compute_logits(_multiply(q, k), _get_scale(q, scores), scores.softcap, bias)
    return logits.masked_fill(~_materialize(mask, None), -math.inf)


def compute_attention(
    logits: Tensor,
    v: Tensor,
    seen: Tensor,
    sinks: Tensor | None = None,
    dropout: float = 0.0,
    *,
    products: Tensor | None = None,
    scale: float = 1.0,
) -> Tensor:
    """Computes softmax(logits) v without a fused kernel; a query that attends to no key gets zero.

    Args:
        logits: ``[batch or 1, heads, query, key]``.
        v: ``[batch, kv_heads, key, value_dim]``.
        seen: True where a key may be attended to, bool ``[batch or 1, heads or 1, query, key]``.
        sinks: scores of attending to no key ``[heads]``, or None.
        dropout: probability of zeroing an attention weight.
        products: q · k before any scale, for a capture; None if the logits are no such products.
        scale: factor of ``products``.
    Returns:
        ``[batch, heads, query, value_dim]``.
    """
    scores, logits = logits, logits.masked_fill(~seen, -math.inf)
    if sinks is not None:
        column = sinks[None, :, None, None].to(logits.dtype).expand(logits.shape[0], -1, logits.shape[2], 1)
        weights = torch.cat([logits, column], dim=-1).softmax(dim=-1)[..., :-1]  # the sink's weight has no value
    else:
        seeing = seen.any(dim=-1, keepdim=True)
        weights = torch.where(seeing, logits, 0.0).softmax(dim=-1) * seeing  # a row of -inf would give NaN
    record_attention(lambda: AttentionRecord(weights.expand(len(v), -1, -1, -1), products, scores, seen, scale))
    v = v.repeat_interleave(weights.shape[1] // v.shape[1], dim=1)  # [batch, heads, key, value_dim]
    return F.dropout(weights, dropout, training=dropout > 0) @ v


def _get_scale(q: Tensor, scores: Scores) -> float:
    return scores.scale if scores.scale is not None else 1 / math.sqrt(q.shape[-1])


def _get_kernel_dtype(q: Tensor) -> torch.dtype:
    """Returns the dtype in which a kernel computes with these queries."""
    kind = q.device.type
    is_autocast = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if is_autocast else q.dtype


def _find_blind(mask: Mask, allowed: Tensor | None, seen: Tensor) -> Tensor | None:
    """Finds the queries without a key, ``[batch or 1, heads or 1, query, 1]``; None if there is none.

    Kernels differ on rows without a key (cuDNN returns NaN), so such queries attend to all keys and are zeroed.
    """
    if allowed is not None:
        return ~seen.any(dim=-1, keepdim=True)
    blind = mask.find_blind()
    return None if blind is None else blind[:, None, :, None]


def _materialize(mask: Mask, allowed: Tensor | None) -> Tensor:
    """Returns the mask as a tensor, True where a key may be attended to: ``[batch or 1, heads or 1, query, key]``."""
    seen = mask.materialize()[:, None]
    return seen if allowed is None else seen & allowed


def _multiply(q: Tensor, k: Tensor) -> Tensor:
    """Computes q · k of all pairs, hidden keys included: ``[batch, heads, query, key]``."""
    return q @ k.repeat_interleave(q.shape[1] // k.shape[1], dim=1).mT


def _compute_logits(products: Tensor, scale: float, softcap: float | None, bias: Tensor | None) -> Tensor:
    """Computes scores from products: ``[batch, heads, query, key]``."""
    logits = products * scale
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    return logits if bias is None else logits + bias


def _add_sinks(
    q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None, bias: Tensor | None, sinks: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Returns keys, values and the attention mask of the kernel; a sink becomes one more key with value zero.

    The mask is None, bool, or a term added to the scores: ``[batch or 1, heads or 1, query, key (+ 1 with sinks)]``.
    """
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

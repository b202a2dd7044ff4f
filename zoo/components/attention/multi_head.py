"""Multi-head attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from zoo.components.attention._dot_product import Bias, DotProductAttention, QkNorm
from zoo.model.attend import Scores
from zoo.model.interfaces import Norm
from zoo.registry import register


@final
@register("attention", "multi_head", paper="arXiv:1706.03762")
class MultiHeadAttention(DotProductAttention):
    """Multi-head attention: softmax(q kᵀ / √head_dim) v in each head, with its own queries, keys and values.

    Args:
        dim: features per token.
        heads: number of heads.
        head_dim: features per head; ``heads * head_dim`` may differ from ``dim``.
        norm: constructs the norms of queries and keys if ``qk_norm`` is not ``none``.
        bias: projections with a bias: ``none``, those of queries, keys and values (``qkv``), or ``all``.
        scores: window, soft-cap, scale, dropout and sinks.
        qk_norm: norm of queries and keys before rotation: ``none``, over each ``head`` (Qwen 3, 2025), or over the
            ``full`` width (OLMo 2, 2025).
        output_gate: if true, multiplies the mixed features by sigmoid of a projection of the token (Qiu et al. 2025).
    Source: Vaswani et al. 2017.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        head_dim: int,
        norm: Callable[[int], Norm],
        *,
        bias: Bias = "none",
        scores: Scores = Scores(),
        qk_norm: QkNorm = "none",
        output_gate: bool = False,
    ) -> None:
        super().__init__(dim, heads, head_dim, norm, heads, bias, scores, qk_norm, output_gate)

"""Grouped-query attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from zoo.components.attention._dot_product import Bias, DotProductAttention, QkNorm
from zoo.model.attend import Scores
from zoo.model.interfaces import Norm
from zoo.registry import register


@final
@register("attention", "grouped_query", paper="arXiv:2305.13245")
class GroupedQueryAttention(DotProductAttention):
    """Grouped-query attention (GQA): groups of query heads share one of ``kv_heads`` heads of keys and values.

    Args:
        dim: features per token.
        heads: number of query heads.
        head_dim: features per head; ``heads * head_dim`` may differ from ``dim``.
        norm: constructs the norms of queries and keys if ``qk_norm`` is not ``none``.
        kv_heads: number of key and value heads; divides ``heads``. 1 is multi-query attention (Shazeer 2019).
        bias: projections with a bias: ``none``, those of queries, keys and values (``qkv``), or ``all``.
        scores: window, soft-cap, scale, dropout and sinks.
        qk_norm: norm of queries and keys before rotation: ``none``, over each ``head`` (Qwen 3, 2025), or over the
            ``full`` width (OLMo 2, 2025).
        output_gate: if true, multiplies the mixed features by sigmoid of a projection of the token (Qiu et al. 2025).
    Raises:
        Refused: if ``kv_heads`` does not divide ``heads``.
    Source: Ainslie et al. 2023.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        head_dim: int,
        norm: Callable[[int], Norm],
        *,
        kv_heads: int = 2,
        bias: Bias = "none",
        scores: Scores = Scores(),
        qk_norm: QkNorm = "none",
        output_gate: bool = False,
    ) -> None:
        super().__init__(dim, heads, head_dim, norm, kv_heads, bias, scores, qk_norm, output_gate)

"""Attention with learned weights that do not depend on the tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from zoo.checks import Refused, require_positive
from zoo.components.attention._heads import merge_heads, split_heads
from zoo.model.attend import compute_attention
from zoo.model.cache import Cache
from zoo.model.interfaces import Attention, Norm, Position, count_linear_flops
from zoo.model.mask import Mask
from zoo.model.parameter_roles import Role
from zoo.model.projections import OutputLinear
from zoo.registry import register

STD = 0.02


@final
@register("attention", "synthesizer", paper="arXiv:2005.00743")
class SynthesizerAttention(Attention):
    """Random synthesizer: softmax(R) v with a learned score R for each head and pair of positions.

    Args:
        dim: features per token.
        heads: number of heads.
        head_dim: features of the values of a head.
        norm: unused.
        length: number of positions that have scores, which limits the length of a row.
        rank: if given, R is the product of two matrices of this rank (factorized); null learns every score.
    Raises:
        Refused: if ``length`` or ``rank`` is not positive.
    Source: Tay et al. 2020.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"causal", "full", "prefix", "packed"})
    roles: ClassVar[Mapping[str, Role]] = {"table": "table", "rows": "table", "columns": "table"}

    def __init__(
        self,
        dim: int,
        heads: int,
        head_dim: int,
        norm: Callable[[int], Norm],
        *,
        length: int = 512,
        rank: int | None = None,
    ) -> None:
        super().__init__()
        require_positive("length", length)
        self.heads, self.head_dim, self.limit, self.rank = heads, head_dim, length, rank
        if rank is None:
            self.table = nn.Parameter(STD * torch.randn(heads, length, length))
        else:
            require_positive("rank", rank)
            std = math.sqrt(STD / math.sqrt(rank))  # the product then has standard deviation STD
            self.rows = nn.Parameter(std * torch.randn(heads, length, rank))
            self.columns = nn.Parameter(std * torch.randn(heads, length, rank))
        self.value = nn.Linear(dim, heads * head_dim, bias=False)
        self.output = OutputLinear(heads * head_dim, dim, bias=False)

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """Maps ``[batch, query, dim]`` and memory ``[batch, key, dim]`` to ``[batch, query, dim]``.

        Raises:
            Refused: if a row is longer than ``length``.
        """
        v = split_heads(self.value(memory), self.heads)
        if cache is not None:
            (v,), mask = cache.extend((v,), mask)
        if self.limit is not None and mask.key.length > self.limit:
            raise Refused(
                f"length must be at least the tokens of a row: got length={self.limit} and {mask.key.length} tokens"
            )
        logits = self._compute_scores(mask.query.position, mask.key.position)
        mixed = compute_attention(logits, v, mask.materialize()[:, None])
        output: Tensor = self.output(merge_heads(mixed))
        return output

    def _compute_scores(self, query: Tensor, key: Tensor) -> Tensor:
        """Computes the scores of pairs of positions.

        Args:
            query: positions of the queries, ``[batch or 1, query]``.
            key: positions of the keys, ``[batch or 1, key]``.
        Returns:
            ``[batch or 1, heads, query, key]``.
        """
        if self.rank is None:  # indexing gives [heads, batch or 1, query, key]
            return self.table[:, query[:, :, None], key[:, None, :]].transpose(0, 1)
        return (self.rows[:, query] @ self.columns[:, key].mT).transpose(0, 1)

    def flops(self, mask: Mask) -> int:
        """Counts the value and output projections, the averages, and the product that forms the scores, if any."""
        per_token = (
            count_linear_flops(self.value) * mask.key.length + count_linear_flops(self.output) * mask.query.length
        )
        return per_token + 2 * self.heads * (self.head_dim + (self.rank or 0)) * mask.count_pairs()

    def get_branch_weights(self) -> Iterator[Tensor]:
        """Yields the value and output projections (DeepNorm)."""
        yield from (self.value.weight, self.output.weight)

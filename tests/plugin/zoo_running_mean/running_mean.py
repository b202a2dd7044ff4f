"""The running mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from zoo import Attention, Cache, Mask, Norm, Position, register


@final
@register("attention", "running_mean")
class RunningMean(Attention):
    """The mean of the values of a token and of all earlier ones of its document.

    What it remembers does not grow: the sum, the count and the number of the document that was last read.

    Args:
        dim: features per token.
        heads: heads; only heads * head_dim matters.
        head_dim: features per head.
        norm: not used.
        bias: whether both projections have biases.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"causal", "packed"})

    def __init__(self, dim: int, heads: int, head_dim: int, norm: Callable[[int], Norm], *, bias: bool = False) -> None:
        super().__init__()
        self.value = nn.Linear(dim, heads * head_dim, bias=bias)
        self.output = nn.Linear(heads * head_dim, dim, bias=bias)

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """``[batch, length, dim]`` to the same shape."""
        value = self.value(memory)
        segment = mask.key.segment
        if segment is None:
            segment = torch.zeros(value.shape[:2], dtype=torch.long, device=value.device)
        seen = mask.materialize().expand(len(value), -1, -1).to(value.dtype)
        total, count = seen @ value, seen.sum(dim=-1, keepdim=True)
        if cache is not None:
            total, count = _continued(cache, value, segment, total, count)
        mean: Tensor = self.output(total / count.clamp(min=1))
        return mean

    def flops(self, mask: Mask) -> int:
        """Both projections, and sums over the pairs that are seen."""
        return super().flops(mask) + 2 * mask.count_pairs() * self.value.out_features


def _continued(cache: Cache, value: Tensor, segment: Tensor, total: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Add what is remembered of the document that goes on, and remember the one that is read last."""
    if not cache.state:
        nothing = value.new_zeros(len(value), value.shape[-1] + 1)
        cache.state = (nothing[:, :-1], nothing[:, -1:], segment.new_full((len(value), 1), -1))
    old_total, old_count, old = cache.state
    same = ((segment == old) & (segment >= 0)).to(value.dtype)[..., None]
    total, count = total + same * old_total[:, None], count + same * old_count[:, None]
    last = torch.maximum(old, segment.max(dim=1, keepdim=True).values)
    goes_on = (old == last).to(value.dtype)
    of_last = ((segment == last) & (segment >= 0)).to(value.dtype)[:, None]
    new_total = old_total * goes_on + (of_last @ value)[:, 0]
    cache.state = (new_total, old_count * goes_on + of_last.sum(dim=-1), last)
    return total, count

"""Base class of attentions that average values by a softmax of scores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from torch import Tensor, nn

from zoo.model.attend import Scores
from zoo.model.cache import Cache
from zoo.model.interfaces import Attention
from zoo.model.projections import OutputLinear


class SoftmaxAttention(Attention):
    """Base class of attentions with the option ``scores`` whose cache holds tensors along the sequence."""

    supports: ClassVar[frozenset[str]] = frozenset({"causal", "full", "prefix", "cross", "packed"})
    position_hooks: ClassVar[frozenset[str]] = frozenset({"rotate", "bias"})
    scores: Scores
    value: nn.Linear
    output: OutputLinear

    def get_branch_weights(self) -> Iterator[Tensor]:
        """Yields the value and output projections; queries and keys do not scale the output (DeepNorm)."""
        yield from (self.value.weight, self.output.weight)

    def create_cache(self, capacity: int) -> Cache:
        """Returns an empty cache of ``capacity`` tokens, or of the window if that is smaller."""
        return Cache(capacity if self.scores.window is None else min(capacity, self.scores.window))

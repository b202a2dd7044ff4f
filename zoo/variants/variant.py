"""What every variant promises, and how its weights begin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor, nn

from zoo.checks import require_positive
from zoo.embedding import Embedding
from zoo.head import Head
from zoo.interfaces import Component, Inputs
from zoo.linear import BatchedLinear
from zoo.stack import Layer, LayerCache, Stack


@dataclass(frozen=True)
class Initialization:
    """How weights begin.

    Args:
        scheme: matrices are normal with ``std`` (GPT-2), or xavier uniform with embeddings of std dim^-0.5 (2017).
        std: standard deviation of the normal scheme.
    """

    scheme: Literal["normal", "xavier"] = "normal"
    std: float = 0.02

    def __post_init__(self) -> None:
        require_positive("initialization.std", self.std)


class Variant(nn.Module, ABC):
    """A model: an embedding, one or two stacks, a head."""

    name: ClassVar[str]
    default_objectives: ClassVar[dict[str, str]]
    """The objective for each form of data, where none is asked for."""

    embedding: Embedding
    head: Head

    @abstractmethod
    def stacks(self) -> dict[str, Stack]:
        """Its stacks by name."""

    @property
    @abstractmethod
    def reader(self) -> Stack:
        """The stack that reads ``Inputs.tokens``."""

    @abstractmethod
    def hidden(self, inputs: Inputs, caches: Sequence[LayerCache] | None = None) -> Tensor:
        """Last hidden states of ``inputs.tokens``: ``[batch, length, dim]``."""

    @abstractmethod
    def flops(self, length: int, source: int) -> int:
        """Forward operations for one row of ``length`` tokens, and ``source`` tokens where there is an encoder."""

    @property
    def vocabulary(self) -> int:
        """Tokens it has room for."""
        return self.embedding.table.num_embeddings

    def logits(self, hidden: Tensor) -> Tensor:
        """``[…, dim]`` to ``[…, vocabulary]``."""
        out: Tensor = self.head(hidden)
        return out

    @property
    def limit(self) -> int | None:
        """The longest row that its positions can tell apart; None is any."""
        return min((s.limit for s in self.stacks().values() if s.limit is not None), default=None)

    def components(self) -> list[Component]:
        """All components, once each."""
        return [module for module in self.modules() if isinstance(module, Component)]

    def initialize(self, how: Initialization) -> None:
        """Give every matrix its first weights from torch's generator; vectors keep what their component gave them."""
        for module in self.modules():
            if isinstance(module, nn.Linear | BatchedLinear):
                for matrix in module.weight if module.weight.ndim == 3 else [module.weight]:
                    self._matrix(matrix, how)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                std = how.std if how.scheme == "normal" else module.embedding_dim**-0.5
                nn.init.normal_(module.weight, std=std)
        if self.head.weight is not self.embedding.table.weight:
            self._matrix(self.head.weight, how)
        for stack in self.stacks().values():
            for layer in stack.layers:
                if isinstance(layer, Layer) and layer.residual.branch_gain != 1.0:
                    _scale_branches(layer)

    def _matrix(self, weight: Tensor, how: Initialization) -> None:
        if how.scheme == "normal":
            nn.init.normal_(weight, std=how.std)
        else:
            nn.init.xavier_uniform_(weight)


def _scale_branches(layer: Layer) -> None:
    for branch in (layer.attention, layer.cross, layer.ffn):
        for weight in branch.branch_weights() if branch is not None else ():
            weight.data.mul_(layer.residual.branch_gain)

"""Abstract base class of the variants."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

from torch import Tensor, nn

from zoo.checks import Refused
from zoo.model.embedding import Embedding
from zoo.model.head import Head
from zoo.model.initialization import Initialization
from zoo.model.inputs import Inputs
from zoo.model.interfaces import Component
from zoo.model.logits import Logits
from zoo.model.plan import ModelPlan
from zoo.model.projections import BatchedLinear, OutputLinear
from zoo.model.stack import Layer, LayerCache, Stack


class Variant(nn.Module, ABC):
    """Model with an embedding, one or two stacks, and a head."""

    name: ClassVar[str]
    default_objectives: ClassVar[dict[str, str]]
    """Default objective for each form of data."""

    embedding: Embedding
    """Token embedding of the stack that reads ``Inputs.tokens``."""
    head: Head | None
    """Output head; None in a model that computes hidden states only."""
    plan: ModelPlan | None = None
    """Plan that it was built from, with the size of its vocabulary."""
    origin: object | None = None
    """Facts of the checkpoint that it was loaded from (``zoo.hub``)."""
    initialization: Initialization
    """Initialization that :meth:`initialize` was called with."""

    @abstractmethod
    def get_stacks(self) -> dict[str, Stack]:
        """Returns the stacks by name."""

    @property
    @abstractmethod
    def reader(self) -> Stack:
        """The stack that reads ``Inputs.tokens``."""

    @abstractmethod
    def compute_hidden(self, inputs: Inputs, caches: Sequence[LayerCache] | None = None) -> Tensor:
        """Computes the last hidden states of ``inputs.tokens``: ``[batch, length, dim]``."""

    @abstractmethod
    def flops(self, length: int, source: int) -> int:
        """Counts forward operations for one row of ``length`` tokens, and ``source`` tokens in an encoder-decoder."""

    @property
    def vocabulary(self) -> int:
        """Size of the vocabulary."""
        return self.embedding.table.num_embeddings

    def logits(self, hidden: Tensor) -> Tensor:
        """Computes logits ``[…, vocabulary]`` of hidden states ``[…, dim]``.

        Raises:
            Refused: if the model has no head.
        """
        out: Tensor = self._require_head()(hidden)
        return out

    def defer_logits(self, hidden: Tensor) -> Tensor | Logits:
        """Computes logits of hidden states ``[rows, dim]``, or defers them if they do not fit into one chunk.

        Raises:
            Refused: if the model has no head.
        """
        return self._require_head().defer(hidden).simplify()

    def _require_head(self) -> Head:
        if self.head is None:
            raise Refused("logits need a model with a head: got model.head=null")
        return self.head

    def freeze_head(self) -> None:
        """Freezes the parameters that only the head has, for objectives that do not use logits."""
        shared = {id(parameter) for parameter in self.embedding.parameters()}
        for parameter in () if self.head is None else self.head.parameters():
            parameter.requires_grad_(id(parameter) in shared)

    def freeze_pooler(self) -> None:
        """Freezes the pooler, whose output no objective uses."""
        for name, parameter in self.named_parameters():
            if name.startswith("pooler."):
                parameter.requires_grad_(False)

    @property
    def limit(self) -> int | None:
        """Longest row that it supports, in tokens; None is no limit."""
        return min((s.limit for s in self.get_stacks().values() if s.limit is not None), default=None)

    def list_components(self) -> list[Component]:
        """Lists all components, each once."""
        return [module for module in self.modules() if isinstance(module, Component)]

    def losses(self) -> Iterator[tuple[str, Tensor, bool]]:
        """Yields auxiliary loss terms of all components: name, mean over tokens, True if of the source's tokens."""
        for stack in self.get_stacks().values():
            for module in stack.modules():
                if isinstance(module, Component):
                    for name, term in module.losses().items():
                        yield name, term, stack is not self.reader

    def initialize(self, how: Initialization) -> None:
        """Initializes matrices and tables from torch's global generator; vectors keep their values."""
        self.initialization, dim = how, self.embedding.dim
        if self.embedding.table.weight.is_meta:
            return  # nothing to fill, and mixtures have thousands of matrices
        for module in self.modules():
            if isinstance(module, nn.Linear | BatchedLinear):
                for matrix in module.weight if module.weight.ndim == 3 else [module.weight]:
                    how.initialize_matrix(matrix, dim)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                how.initialize_table(module.weight, dim)
        if self.head is not None and self.head.weight is not self.embedding.table.weight:
            how.initialize_head(self.head.weight, dim)
        for stack in self.get_stacks().values():
            sublayers = sum(layer.sublayers for layer in stack.list_applied_layers())
            for number, layer in enumerate(stack.list_distinct_layers()):
                _scale_outputs(layer, how.compute_output_gain(number, stack.depth, sublayers))
                _scale_branches(layer, layer.residual.branch_gain)


def _scale_outputs(layer: Layer, gain: float) -> None:
    for module in layer.modules():
        if isinstance(module, OutputLinear) or (isinstance(module, BatchedLinear) and module.is_output):
            module.weight.data.mul_(gain)


def _scale_branches(layer: Layer, gain: float) -> None:
    for branch in (layer.attention, layer.cross, layer.ffn):
        for weight in branch.get_branch_weights() if branch is not None else ():
            weight.data.mul_(gain)

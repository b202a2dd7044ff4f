"""What every variant promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

from torch import Tensor, nn

from zoo.checks import Refused
from zoo.model.embedding import Embedding
from zoo.model.head import Head
from zoo.model.initialization import Initialization
from zoo.model.interfaces import Component, Inputs
from zoo.model.plan import ModelPlan
from zoo.model.projections import BatchedLinear, OutputLinear
from zoo.model.stack import Layer, LayerCache, Stack


class Variant(nn.Module, ABC):
    """A model: an embedding, one or two stacks, a head."""

    name: ClassVar[str]
    default_objectives: ClassVar[dict[str, str]]
    """The objective for each form of data, where none is asked for."""

    embedding: Embedding
    """Of the stack that reads ``Inputs.tokens``."""
    head: Head | None
    """None where nothing but hidden states is asked for."""
    plan: ModelPlan | None = None
    """What it was built from, with the size of its vocabulary."""
    origin: object | None = None
    """What the checkpoint that it was loaded from said beyond the model (``zoo.hub``)."""
    initialization: Initialization
    """What :meth:`initialize` was called with."""

    @abstractmethod
    def get_stacks(self) -> dict[str, Stack]:
        """Its stacks by name."""

    @property
    @abstractmethod
    def reader(self) -> Stack:
        """The stack that reads ``Inputs.tokens``."""

    @abstractmethod
    def compute_hidden(self, inputs: Inputs, caches: Sequence[LayerCache] | None = None) -> Tensor:
        """Last hidden states of ``inputs.tokens``: ``[batch, length, dim]``."""

    @abstractmethod
    def flops(self, length: int, source: int) -> int:
        """Forward operations for one row of ``length`` tokens, and ``source`` tokens where there is an encoder."""

    @property
    def vocabulary(self) -> int:
        """Tokens it has room for."""
        return self.embedding.table.num_embeddings

    def logits(self, hidden: Tensor) -> Tensor:
        """``[…, dim]`` to ``[…, vocabulary]``.

        Raises:
            Refused: if the model has no head.
        """
        if self.head is None:
            raise Refused("a model with model.head=null has hidden states and no logits: give it model.head.tied=true")
        out: Tensor = self.head(hidden)
        return out

    def freeze_head(self) -> None:
        """Train nothing that the head alone has, for objectives that do not ask for logits."""
        shared = {id(parameter) for parameter in self.embedding.parameters()}
        for parameter in () if self.head is None else self.head.parameters():
            parameter.requires_grad_(id(parameter) in shared)

    def freeze_pooler(self) -> None:
        """Train no pooler, for objectives do not ask for what it pools."""
        for name, parameter in self.named_parameters():
            if name.startswith("pooler."):
                parameter.requires_grad_(False)

    @property
    def limit(self) -> int | None:
        """The longest row that its positions can tell apart; None is any."""
        return min((s.limit for s in self.get_stacks().values() if s.limit is not None), default=None)

    def list_components(self) -> list[Component]:
        """All components, once each."""
        return [module for module in self.modules() if isinstance(module, Component)]

    def losses(self) -> Iterator[tuple[str, Tensor, bool]]:
        """Terms that components add to the loss: name, mean over tokens, and whether these are of the source."""
        for stack in self.get_stacks().values():
            for module in stack.modules():
                if isinstance(module, Component):
                    for name, term in module.losses().items():
                        yield name, term, stack is not self.reader

    def initialize(self, how: Initialization) -> None:
        """Give every matrix its first weights from torch's generator; vectors keep what their component gave them."""
        self.initialization, dim = how, self.embedding.dim
        if self.embedding.table.weight.is_meta:
            return  # no values to give, and mixtures have thousands of matrices
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

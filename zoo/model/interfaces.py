"""Abstract base classes of the components of a layer, with their shapes.

In the ``__init__`` of a component, the arguments left of ``*`` are given by the model to every component of the kind;
keyword-only arguments are its own options. Axes: batch, length (tokens of a row), dim (features of a token).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from zoo.model.cache import Cache
from zoo.model.mask import Mask, Tokens
from zoo.model.projections import BatchedLinear


class Component(nn.Module, ABC):
    """Base class of the components of a layer."""

    is_none: ClassVar[bool] = False
    """True for ``none``: the layer has no such sublayer, and no norm for it."""
    expected_failures: ClassVar[Mapping[str, str]] = {}
    """Checks of ``zoo check`` that the component cannot pass, with the reasons."""
    graph_break: ClassVar[str] = ""
    """Reason why ``torch.compile`` leaves a part of it out; empty if its layer is one graph."""

    def flops(self, mask: Mask) -> int:
        """Counts the forward operations that the method needs for one row.

        Matrix products count, a multiply-add as two operations: every weight matrix once for each token that passes
        it, scores and averages over the pairs that the mask allows. Recurrences count in their chunkwise training form:
        pairs within chunks, states written and read. Masked pairs, padding, recomputation and elementwise operations do
        not count. The backward pass counts as twice the forward pass.

        By default every ``Linear`` counts once per token.

        Args:
            mask: mask of the row; ``mask.query.length`` is its number of tokens.
        """
        return mask.query.length * count_linear_flops(self)

    def count_active_parameters(self) -> int:
        """Counts the parameters used for one token; by default all. Mixtures of experts override it."""
        return sum(parameter.numel() for parameter in self.parameters())

    def get_branch_weights(self) -> Iterator[Tensor]:
        """Yields the matrices that ``branch_gain`` of a residual component multiplies; by default all."""
        for module in self.modules():
            if isinstance(module, nn.Linear | BatchedLinear):
                yield module.weight

    def losses(self) -> dict[str, Tensor]:
        """Returns auxiliary loss terms of the last forward pass in training, by name; by default none (routers).

        Each is a mean over the real tokens of the pass, and the contribution of a token depends on its own row only. So
        the mean of a step is the mean of its micro-batches and devices, weighted by their tokens.
        """
        return {}

    def update_after_step(self) -> None:
        """Updates state after an optimizer step, which may have several forward passes on several devices (routers)."""


def count_linear_flops(module: nn.Module) -> int:
    """Counts the operations of every ``Linear`` and ``BatchedLinear`` in ``module`` for one token."""
    return sum(2 * item.weight.numel() for item in module.modules() if isinstance(item, nn.Linear | BatchedLinear))


class Norm(Component):
    """Normalization of the features of a token. ``__init__(dim, *, …)``."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Normalizes ``x``, ``[…, dim]``, to the same shape."""

    if TYPE_CHECKING:
        __call__ = forward


class FeedForward(Component):
    """Feed-forward sublayer. ``__init__(dim, hidden, *, …)``; in a mixture ``hidden`` is the width of one expert."""

    supports: ClassVar[frozenset[str]] = frozenset({"causal", "full", "prefix", "packed"})
    """Masks that it respects; less than all if tokens compete with each other (expert choice)."""

    @abstractmethod
    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        """Maps ``x``, ``[batch, length, dim]``, to the same shape; ``tokens`` tells which tokens are padding."""

    if TYPE_CHECKING:
        __call__ = forward


class Position(Component):
    """Position encoding. ``__init__(dim, heads, head_dim, causal, *, …)``; hooks do nothing unless overridden.

    ``positions`` are ``[batch or 1, length]``. ``causal`` tells whether the stack is causal.
    """

    limit: int | None = None
    """Number of positions that it can distinguish; None is no limit."""

    def prepare(self, positions: Tensor, widths: frozenset[int], x: Tensor) -> None:
        """Computes what all layers of a forward pass share; called once, before the first layer. By default nothing.

        Args:
            positions: positions of the tokens, ``[batch or 1, length]``; the layers pass the same object.
            widths: numbers of features of the queries and keys that will be rotated.
            x: input of the first layer, whose device and dtype the layers have.
        """

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        """Encodes positions in the embeddings ``[batch, length, dim]``, once, before the first layer."""
        return x

    def rotate_queries(self, q: Tensor, positions: Tensor) -> Tensor:
        """Encodes positions in queries ``[batch, heads, length, width]``; ``width`` may differ from ``head_dim``."""
        return q

    def rotate_keys(self, k: Tensor, positions: Tensor) -> Tensor:
        """Encodes positions in keys ``[batch, heads, length, width]``; ``width`` may differ from ``head_dim``."""
        return k

    def bias(self, q: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor | None:
        """Returns the bias added to the scores, ``[batch or 1, heads, query, key]``, or None."""
        return None

    @classmethod
    def get_hooks(cls) -> frozenset[str]:
        """Returns the hooks that the class overrides: a subset of embed, rotate, bias."""
        named = {"embed": "embed", "rotate_queries": "rotate", "rotate_keys": "rotate", "bias": "bias"}
        return frozenset(hook for name, hook in named.items() if getattr(cls, name) is not getattr(Position, name))


class Attention(Component):
    """Token mixer. ``__init__(dim, heads, head_dim, norm, *, …)``; ``norm(width)`` builds a norm."""

    supports: ClassVar[frozenset[str]]
    """Masks that it respects: a subset of causal, full, prefix, cross, packed."""
    position_hooks: ClassVar[frozenset[str]] = frozenset()
    """Hooks of a position that it calls: a subset of rotate, bias."""
    limit: int | None = None
    """Longest row that it can mix, in tokens; None is no limit."""

    @abstractmethod
    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """Attends from ``x`` to ``memory`` where ``mask`` allows it.

        Args:
            x: inputs of the queries ``[batch, query, dim]``.
            memory: inputs of keys and values ``[batch, key, dim]``; ``x`` in self-attention.
            mask: mask with the tokens of ``x`` as queries and those of ``memory`` as keys.
            position: position whose hooks are called.
            cache: cache of earlier calls, to which this call adds its tokens; None outside of decoding.
        Returns:
            ``[batch, query, dim]``.
        """

    @property
    def output_heads(self) -> int:
        """Number of heads whose outputs lie side by side in the input of the output projection; 0 without heads.

        By default the attribute ``heads``.
        """
        return int(getattr(self, "heads", 0))

    @property
    def rotated_width(self) -> int:
        """Features of the queries and keys that it rotates; 0 if it rotates none.

        By default the attribute ``head_dim`` of an attention that rotates.
        """
        return int(getattr(self, "head_dim", 0)) if "rotate" in self.position_hooks else 0

    def create_cache(self, capacity: int) -> Cache:
        """Creates an empty cache for up to ``capacity`` tokens."""
        return Cache(capacity)

    if TYPE_CHECKING:
        __call__ = forward


Sublayer = Callable[[Tensor], Tensor]


class Residual(Component):
    """Residual wiring of the sublayers of one layer, with their norms.

    ``__init__(dim, norm, sublayers, layer, layers, *, …)``; ``layer`` is the index among ``layers`` layers.
    """

    final_norm: ClassVar[bool]
    """Whether the stack applies a norm after the last layer."""
    branch_gain: float = 1.0
    """Factor of the initial weights of its sublayers (DeepNorm)."""

    @abstractmethod
    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Passes ``x``, ``[batch, length, dim]``, through the sublayers in order."""

    def widen(self, x: Tensor) -> Tensor:
        """Expands the embeddings to several residual streams, before the first layer; by default one stream."""
        return x

    def narrow(self, x: Tensor) -> Tensor:
        """Reduces the residual streams to ``[batch, length, dim]``, after the last layer."""
        return x

    if TYPE_CHECKING:
        __call__ = forward

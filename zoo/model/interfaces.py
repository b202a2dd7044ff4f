"""Abstract base classes of the component kinds, with their shapes.

In the ``__init__`` of a component, the arguments left of ``*`` are given by the model to every component of the kind;
keyword-only arguments are its own options. Axes: batch, length (tokens of a row), dim (features of a token).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_between
from zoo.data.batch import Batch, PairBatch
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model.cache import Cache
from zoo.model.mask import Mask, Tokens
from zoo.model.projections import BatchedLinear


class Component(nn.Module, ABC):
    """Base class of the components of a layer."""

    is_none: ClassVar[bool] = False
    """True for ``none``: the layer has no such sublayer, and no norm for it."""
    expected_failures: ClassVar[Mapping[str, str]] = {}
    """Checks of ``zoo check`` that the component cannot pass, with the reasons."""

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


@dataclass(frozen=True)
class Inputs:
    """Inputs of a model.

    Args:
        tokens: token ids of the only stack or the decoder ``[batch, length]``.
        segment: packed documents and padding, as in ``Tokens``.
        position: positions ``[batch or 1, length]``; None: order of arrival.
        prefix: number of leading tokens that all tokens of a decoder may attend to ``[batch]``.
        source: token ids of the encoder of an encoder-decoder ``[batch, source]``.
        source_segment: packed documents and padding of the source.
        source_position: positions of the source.
        start: number of tokens that arrived before these (decoding with caches).
        token_type: token type of each token ``[batch, length]``; None: all 0.
    """

    tokens: Tensor
    segment: Tensor | None = None
    position: Tensor | None = None
    prefix: Tensor | None = None
    source: Tensor | None = None
    source_segment: Tensor | None = None
    source_position: Tensor | None = None
    start: int = 0
    token_type: Tensor | None = None

    def count_tokens(self) -> int:
        """Counts the tokens that are not padding."""
        return self.tokens.numel() if self.segment is None else int((self.segment >= 0).sum())

    def count_source_tokens(self) -> int:
        """Counts the tokens of the source that are not padding."""
        if self.source is None:
            return 0
        return self.source.numel() if self.source_segment is None else int((self.source_segment >= 0).sum())


@dataclass(frozen=True)
class View:
    """Inputs and targets that an objective prepares from a batch.

    Args:
        inputs: inputs of the model.
        targets: target token at each place of ``inputs.tokens`` ``[batch, length]``.
        valid: True at places whose targets count, bool ``[batch, length]``.
        extra: further tensors of the objective ``[batch, …]``.
        source_length: tokens of the source of each pair ``[batch]``, by which metrics are reported separately.
    """

    inputs: Inputs
    targets: Tensor
    valid: Tensor
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    source_length: Tensor | None = None

    def to(self, device: torch.device) -> View:
        """Returns a copy with all tensors on ``device``."""
        inputs = Inputs(**{item.name: _move(getattr(self.inputs, item.name), device) for item in fields(self.inputs)})
        extra = {name: _move(tensor, device) for name, tensor in self.extra.items()}
        further = (extra, _move(self.source_length, device))
        return View(inputs, _move(self.targets, device), _move(self.valid, device), *further)


def _move(value: Any, device: torch.device) -> Any:
    return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value


class LanguageModel(Protocol):
    """Methods of a model that objectives call."""

    def compute_hidden(self, inputs: Inputs) -> Tensor:
        """Computes the last hidden states ``[batch, length, dim]``."""

    def logits(self, hidden: Tensor) -> Tensor:
        """Computes logits ``[…, vocabulary]`` of hidden states ``[…, dim]``."""


class Objective(nn.Module, ABC):
    """Prepares inputs and targets, and computes the loss. ``__init__(dim, vocabulary, variant, *, …)``.

    It may have parameters (heads, a generator), which are trained with the model.
    """

    combines: ClassVar[frozenset[tuple[str, str]]]
    """Pairs of variant and form of data (documents, pairs) that the objective supports."""
    reason: ClassVar[str]
    """Reason why other pairs are not supported, as the end of a sentence."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Masks that every self-attention of the only stack or the decoder must support beyond that of its variant."""
    models_text: ClassVar[bool] = False
    """Whether, with documents, it predicts every token of a text exactly once, so that bits per byte are defined."""
    accuracy: ClassVar[str] = "token_accuracy"
    """Name of the accuracy metric with documents."""
    uses_head: ClassVar[bool] = True
    """Whether it uses the logits of the model; if not, the parameters of the head alone are frozen."""
    one_token_targets: ClassVar[bool] = False
    """Whether targets of pairs must be single tokens."""
    needs_partner: ClassVar[bool] = False
    """Whether each row of documents comes with another row of the split, in ``DocumentBatch.partner``."""

    def __init__(
        self, dim: int, vocabulary: Vocabulary, variant: str, label_smoothing: float = 0.0, z_loss: float = 0.0
    ) -> None:
        super().__init__()
        require_between("label_smoothing", label_smoothing, 0.0, 0.99)
        require_between("z_loss", z_loss, 0.0, 1.0)
        self.dim, self.vocabulary, self.variant = dim, vocabulary, variant
        self.label_smoothing, self.z_loss = label_smoothing, z_loss

    def get_max_length(self, length: int) -> int:
        """Returns the length of the longest row that the model reads if rows of data have ``length`` tokens.

        Raises:
            Refused: if the objective does not support that length.
        """
        return length

    def get_required_tokens(self, form: str, length: int) -> Required:
        """Returns the special tokens besides pad, bos and eos that rows of this ``form`` with ``length`` tokens need.

        By default: sep, between source and target of pairs in one stack.
        """
        return Required(sep=form == "pairs" and self.variant != "encoder_decoder")

    @abstractmethod
    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Prepares inputs and targets of a batch; runs in the data loader.

        Row i draws all its random numbers from ``generators[i]`` and does not depend on the other rows of the batch, so
        that the batch size changes neither a training step nor the validation metrics.
        """

    def predict(self, model: LanguageModel, view: View) -> tuple[Tensor, Tensor]:
        """Computes logits ``[valid, vocabulary]`` and targets ``[valid]`` at the valid places, row by row.

        An objective that predicts other classes than tokens returns as many columns as there are classes.
        """
        hidden = model.compute_hidden(view.inputs)
        return model.logits(hidden[view.valid]), view.targets[view.valid]

    def loss(self, model: LanguageModel, view: View) -> dict[str, Tensor]:
        """Computes the loss terms, each a mean, whose sum is minimized; by default those of :meth:`predict`."""
        return self.compute_terms(*self.predict(model, view))

    def count_terms(self, view: View) -> dict[str, int]:
        """Counts the items over which each loss term is a mean; by default the valid places.

        A training step weights the terms of its micro-batches, on all devices, by these counts, so that they add up to
        the mean over the whole batch, however it is divided.

        Returns:
            counts for all terms that :meth:`loss` may return.
        """
        return dict.fromkeys(("cross_entropy", "z_loss"), int(view.valid.sum()))

    def compute_terms(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Computes the mean cross-entropy in nats and, if set, z_loss * mean of logsumexp(logits)².

        Args:
            logits: ``[valid, classes]``.
            targets: ``[valid]``.
        """
        logits, count = logits.float(), max(1, len(targets))  # a micro-batch may have no valid place
        total = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=self.label_smoothing)
        terms = {"cross_entropy": total / count}
        if self.z_loss > 0:
            terms["z_loss"] = self.z_loss * logits.logsumexp(dim=-1).square().sum() / count
        return terms

    def generate_targets(self, model: LanguageModel, batch: PairBatch) -> list[list[int]] | None:
        """Generates target token ids for a batch of pairs on the CPU; None: greedy decoding generates them."""
        return None

"""One abstract class per kind says what the slot promises, with its shapes.

Arguments left of ``*`` in a component's ``__init__`` are given by the variant to every component of the kind; what
stands right of it are the component's own options. Axes: batch, length (tokens in a row), dim (features of a token).
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
    """Base of every slot."""

    is_none: ClassVar[bool] = False
    """The stack leaves a sublayer out whose component is absent, and its norm with it (``none``)."""
    expected_failures: ClassVar[Mapping[str, str]] = {}
    """Checks of ``zoo check`` that it cannot pass, each with the reason."""

    def flops(self, mask: Mask) -> int:
        """Forward operations that the method needs for one row as ``mask`` describes it.

        Those of products of matrices, a multiplication and its addition as two: every weight matrix once for each token
        that passes it, scores and averages over the pairs that are seen. Recurrences count in the form in which they
        are trained: pairs within chunks, and states that are written and read. Hidden pairs, padding and what is formed
        twice do not count, nor does elementwise work. Backward counts as twice forward.

        Here: every Linear once per token.
        """
        return mask.query.length * count_linear_flops(self)

    def count_active_parameters(self) -> int:
        """Parameters that take part in a token's computation; routers override."""
        return sum(parameter.numel() for parameter in self.parameters())

    def get_branch_weights(self) -> Iterator[Tensor]:
        """The matrices that a residual component's ``branch_gain`` acts on; here: all."""
        for module in self.modules():
            if isinstance(module, nn.Linear | BatchedLinear):
                yield module.weight

    def losses(self) -> dict[str, Tensor]:
        """Further terms of the loss of the last forward pass in training, by name (routers).

        Each is a mean over the real tokens of the pass to which a token adds what its own row decides. So the means of
        the micro-batches and devices of a step, weighted by their tokens, are the mean of the whole step.
        """
        return {}

    def update_after_step(self) -> None:
        """Called after each optimizer step, which may have had several forward passes, on several devices (routers)."""


def count_linear_flops(module: nn.Module) -> int:
    """Operations of every Linear in ``module``, once."""
    return sum(2 * item.weight.numel() for item in module.modules() if isinstance(item, nn.Linear | BatchedLinear))


class Norm(Component):
    """Brings the features of a token to a common size. ``__init__(dim, *, …)``."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """``[…, dim]`` to the same shape."""

    if TYPE_CHECKING:
        __call__ = forward


class FeedForward(Component):
    """Works on each token alone. ``__init__(dim, hidden, *, …)``; hidden of a mixture is the width of one expert."""

    supports: ClassVar[frozenset[str]] = frozenset({"causal", "full", "prefix", "packed"})
    """What it can respect; one whose tokens compete with each other (expert choice) respects less."""

    @abstractmethod
    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        """``[batch, length, dim]`` to the same shape; ``tokens`` says which of them are padding."""

    if TYPE_CHECKING:
        __call__ = forward


class Position(Component):
    """Tells where tokens stand. ``__init__(dim, heads, head_dim, causal, *, …)``; hooks are neutral unless overridden.

    Positions are ``[batch or 1, length]``. ``causal`` says whether tokens see only what arrived before them.
    """

    limit: int | None = None
    """How many positions it can tell apart; None is any number."""

    def embed(self, x: Tensor, positions: Tensor) -> Tensor:
        """Act on the embeddings ``[batch, length, dim]``, once, at the bottom of the stack."""
        return x

    def rotate_queries(self, q: Tensor, positions: Tensor) -> Tensor:
        """Act on queries ``[batch, heads, length, width]`` of any width."""
        return q

    def rotate_keys(self, k: Tensor, positions: Tensor) -> Tensor:
        """Act on keys ``[batch, heads, length, width]`` of any width."""
        return k

    def bias(self, q: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor | None:
        """What is added to the scores: ``[batch or 1, heads, query, key]``; None is nothing."""
        return None

    @classmethod
    def get_hooks(cls) -> frozenset[str]:
        """Which of embed, rotate and bias it overrides."""
        named = {"embed": "embed", "rotate_queries": "rotate", "rotate_keys": "rotate", "bias": "bias"}
        return frozenset(hook for name, hook in named.items() if getattr(cls, name) is not getattr(Position, name))


class Attention(Component):
    """Mixes tokens. ``__init__(dim, heads, head_dim, norm, *, …)``; ``norm`` makes a norm of a given width."""

    supports: ClassVar[frozenset[str]]
    """What it can respect, of causal, full, prefix, cross, packed."""
    position_hooks: ClassVar[frozenset[str]] = frozenset()
    """Which hooks of a position it calls, of rotate, bias."""
    limit: int | None = None
    """The longest row that it can mix; None is any."""

    @abstractmethod
    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """Tokens ``x`` take from ``memory`` what ``mask`` lets them see.

        Args:
            x: ``[batch, query, dim]``.
            memory: ``[batch, key, dim]``; ``x`` itself in self-attention.
            mask: over ``x`` and ``memory``.
            position: hooks of the position component.
            cache: what earlier calls remember; this call adds to it.
        Returns:
            ``[batch, query, dim]``.
        """

    def create_cache(self, capacity: int) -> Cache:
        """An empty memory for up to ``capacity`` tokens."""
        return Cache(capacity)

    if TYPE_CHECKING:
        __call__ = forward


Sublayer = Callable[[Tensor], Tensor]


class Residual(Component):
    """Wires sublayers together and owns their norms.

    ``__init__(dim, norm, sublayers, layer, layers, *, …)``: one for each layer, of which there are ``layers``.
    """

    final_norm: ClassVar[bool]
    """Whether the stack ends with one more norm."""
    branch_gain: float = 1.0
    """What the initial weights inside its sublayers are multiplied with (DeepNorm)."""

    @abstractmethod
    def forward(self, x: Tensor, sublayers: Sequence[Sublayer]) -> Tensor:
        """Pass ``x`` ``[batch, length, dim]`` through the sublayers, in order."""

    def widen(self, x: Tensor) -> Tensor:
        """Before the first layer (several streams)."""
        return x

    def narrow(self, x: Tensor) -> Tensor:
        """After the last layer."""
        return x

    if TYPE_CHECKING:
        __call__ = forward


@dataclass(frozen=True)
class Inputs:
    """What a model reads.

    Args:
        tokens: ``[batch, length]``: of the only stack, or of the decoder.
        segment: packed documents and padding, as in ``Tokens``.
        position: ``[batch or 1, length]``; None: the order of arrival.
        prefix: ``[batch]``: how many tokens everyone sees, in a decoder.
        source: ``[batch, source]``: what the encoder of an encoder-decoder reads.
        source_segment: packed documents and padding of the source.
        source_position: positions of the source.
        start: how many tokens arrived before these (decoding with caches).
        token_type: ``[batch, length]``: which of the embedding's token types each token has; None: all the first.
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
        """How many of ``tokens`` are real."""
        return self.tokens.numel() if self.segment is None else int((self.segment >= 0).sum())

    def count_source_tokens(self) -> int:
        """How many tokens of the source are real."""
        if self.source is None:
            return 0
        return self.source.numel() if self.source_segment is None else int((self.source_segment >= 0).sum())


@dataclass(frozen=True)
class View:
    """What an objective makes of a batch: what the model reads, and what it is asked.

    Args:
        inputs: what the model reads.
        targets: ``[batch, length]``: the token asked for at each place of ``inputs.tokens``.
        valid: ``[batch, length]``, bool: the places that are asked.
        extra: further tensors that only the objective understands, ``[batch, …]``.
        source_length: ``[batch]``, of pairs: tokens of the source, by which answers are judged apart.
    """

    inputs: Inputs
    targets: Tensor
    valid: Tensor
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    source_length: Tensor | None = None

    def to(self, device: torch.device) -> View:
        """The same on another device."""
        inputs = Inputs(**{item.name: _move(getattr(self.inputs, item.name), device) for item in fields(self.inputs)})
        extra = {name: _move(tensor, device) for name, tensor in self.extra.items()}
        further = (extra, _move(self.source_length, device))
        return View(inputs, _move(self.targets, device), _move(self.valid, device), *further)


def _move(value: Any, device: torch.device) -> Any:
    return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value


class LanguageModel(Protocol):
    """What an objective needs of a model."""

    def compute_hidden(self, inputs: Inputs) -> Tensor:
        """Last hidden states ``[batch, length, dim]``."""

    def logits(self, hidden: Tensor) -> Tensor:
        """``[…, dim]`` to ``[…, vocabulary]``."""


class Objective(nn.Module, ABC):
    """What a model is asked, and how the answer is judged. ``__init__(dim, vocabulary, variant, *, …)``.

    It may own parameters (heads, a generator); those are trained with the model.
    """

    combines: ClassVar[frozenset[tuple[str, str]]]
    """The pairs of variant and form of data (documents, pairs) that it makes sense for."""
    reason: ClassVar[str]
    """Why it makes no sense for the others, as the end of a sentence."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """What every self-attention of the reading stack must see beyond what its variant asks."""
    models_text: ClassVar[bool] = False
    """Whether, with documents, it predicts every token of a text exactly once, so that bits per byte mean something."""
    accuracy: ClassVar[str] = "token_accuracy"
    """What the share of right answers is called, with documents."""
    uses_head: ClassVar[bool] = True
    """Whether it asks for the model's logits; if not, what the head has of its own is not trained."""
    one_token_targets: ClassVar[bool] = False
    """Whether targets of pairs must be one token."""
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
        """The longest row that a model reads when rows of data have ``length`` tokens.

        Raises:
            Refused: if the objective cannot work with that length.
        """
        return length

    def get_required_tokens(self, form: str, length: int) -> Required:
        """Special tokens beside pad, bos and eos for rows of data of that ``form`` with ``length`` tokens.

        Here: sep, between source and target of pairs in one stack.
        """
        return Required(sep=form == "pairs" and self.variant != "encoder_decoder")

    @abstractmethod
    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Make a view of a batch, on the data side.

        All randomness of row i comes from ``generators[i]``, and nothing that is drawn depends on the other rows of the
        batch: the batch size then changes neither what is learned in a step nor what validation asks.
        """

    def predict(self, model: LanguageModel, view: View) -> tuple[Tensor, Tensor]:
        """Logits ``[asked, vocabulary]`` and targets ``[asked]`` at the asked places, row by row.

        An objective whose answers are other classes than tokens gives as many columns as there are classes.
        """
        hidden = model.compute_hidden(view.inputs)
        return model.logits(hidden[view.valid]), view.targets[view.valid]

    def loss(self, model: LanguageModel, view: View) -> dict[str, Tensor]:
        """Terms of the loss to train on, which are added, each a mean; here: those of the answers."""
        return self.compute_terms(*self.predict(model, view))

    def count_terms(self, view: View) -> dict[str, int]:
        """Of each term that ``loss`` may return, how many things it is the mean of; here: the asked places.

        A training step weighs the terms of its micro-batches, on all devices, by these numbers. So it is the mean over
        the whole batch, however that is divided.
        """
        return dict.fromkeys(("cross_entropy", "z_loss"), int(view.valid.sum()))

    def compute_terms(self, logits: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Mean cross-entropy of answers ``[asked, vocabulary]`` in nats, and z-loss · mean of logsumexp(logits)²."""
        logits, asked = logits.float(), max(1, len(targets))  # a batch may ask for nothing
        total = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=self.label_smoothing)
        terms = {"cross_entropy": total / asked}
        if self.z_loss > 0:
            terms["z_loss"] = self.z_loss * logits.logsumexp(dim=-1).square().sum() / asked
        return terms

    def generate_targets(self, model: LanguageModel, batch: PairBatch) -> list[list[int]] | None:
        """What the model answers to a batch of pairs on the CPU; None: what greedy decoding writes."""
        return None

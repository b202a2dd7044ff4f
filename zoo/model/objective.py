"""Interface of objectives: the view of a batch that an objective prepares, and its loss.

In the ``__init__`` of an objective, the arguments left of ``*`` are given by the training; keyword-only arguments are
its own options.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_between
from zoo.data.batch import Batch, PairBatch
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model.inputs import Inputs
from zoo.model.logits import Logits, sum_terms


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
        moved = View(inputs, _move(self.targets, device), _move(self.valid, device), *further)
        vars(moved)["places"] = _move(self.places, device)
        return moved

    @cached_property
    def places(self) -> Tensor | None:
        """Valid places, as indices of ``valid.flatten()`` in increasing order ``[valid]``; None if all are valid.

        They are listed where the view was prepared, since listing them on an accelerator would wait for it.
        """
        places = self.valid.flatten().nonzero()[:, 0]
        return places if len(places) < self.valid.numel() else None

    def select_valid(self, x: Tensor) -> Tensor:
        """Returns the valid places ``[valid, …]`` of ``[batch, length, …]``, row by row."""
        x = x.flatten(0, 1)
        return x if self.places is None else x.index_select(0, self.places)


def _move(value: Any, device: torch.device) -> Any:
    return value.to(device, non_blocking=True) if isinstance(value, Tensor) else value


class LanguageModel(Protocol):
    """Methods of a model that objectives call."""

    def compute_hidden(self, inputs: Inputs) -> Tensor:
        """Computes the last hidden states ``[batch, length, dim]``."""

    def logits(self, hidden: Tensor) -> Tensor:
        """Computes logits ``[…, vocabulary]`` of hidden states ``[…, dim]``."""

    def defer_logits(self, hidden: Tensor) -> Tensor | Logits:
        """Computes logits of hidden states ``[rows, dim]``, or defers them if they do not fit into one chunk."""


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
        return model.logits(view.select_valid(hidden)), view.select_valid(view.targets)

    def predict_deferred(self, model: LanguageModel, view: View) -> tuple[Tensor | Logits, Tensor]:
        """Returns what :meth:`predict` does; the logits of the model's head are deferred if they are large.

        The loss and the metrics are computed from it. An objective that overrides :meth:`predict` computes logits of
        its own, which are not deferred.
        """
        if type(self).predict is not Objective.predict:
            return self.predict(model, view)
        hidden = model.compute_hidden(view.inputs)
        return model.defer_logits(view.select_valid(hidden)), view.select_valid(view.targets)

    def loss(self, model: LanguageModel, view: View) -> dict[str, Tensor]:
        """Computes the loss terms, each a mean, whose sum is minimized; by default those of what it predicts."""
        return self.compute_terms(*self.predict_deferred(model, view))

    def count_terms(self, view: View) -> dict[str, int]:
        """Counts the items over which each loss term is a mean; by default the valid places.

        A training step weights the terms of its micro-batches, on all devices, by these counts, so that they add up to
        the mean over the whole batch, however it is divided.

        Returns:
            counts for all terms that :meth:`loss` may return.
        """
        return dict.fromkeys(("cross_entropy", "z_loss"), int(view.valid.sum()))

    def compute_terms(self, logits: Tensor | Logits, targets: Tensor) -> dict[str, Tensor]:
        """Computes the mean cross-entropy in nats and, if set, z_loss * mean of logsumexp(logits)².

        Args:
            logits: ``[valid, classes]``, all of them or deferred.
            targets: ``[valid]``.
        """
        count = max(1, len(targets))  # a micro-batch may have no valid place
        sums = sum_terms(logits, targets, self._sum_terms)
        return {name: term / count for name, term in zip(("cross_entropy", "z_loss"), sums, strict=False)}

    def _sum_terms(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
        logits = logits.float()
        total = F.cross_entropy(logits, targets, reduction="sum", label_smoothing=self.label_smoothing)
        return (total, self.z_loss * logits.logsumexp(dim=-1).square().sum()) if self.z_loss > 0 else (total,)

    def generate_targets(self, model: LanguageModel, batch: PairBatch) -> list[list[int]] | None:
        """Generates target token ids for a batch of pairs on the CPU; None: greedy decoding generates them."""
        return None

"""Multi-token prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_between
from zoo.data.batch import Batch, DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.model.inputs import Inputs
from zoo.model.objective import LanguageModel, Objective, View
from zoo.registry import register

_TERM_NAMES = {"cross_entropy": "ahead_{}", "z_loss": "ahead_{}_z_loss"}
"""Names of the terms of the loss for tokens after the next one."""


@final
@register("objective", "multi_token", paper="arXiv:2404.19737")
class MultiToken(Objective):
    """Predict the next ``ahead`` tokens at each place, the k-th after the next one from h + silu(Wₖ h) instead of h.

    All predictions share the head of the model. Instead of a Transformer layer for each additional token, as in the
    paper, there is one matrix (Medusa, arXiv:2401.10774).

    The loss is the sum of the means of ``-log p(x[t + k] | x[:t])`` for k from 0 to ``ahead - 1``, each over the places
    t whose document continues that far. The metrics are those of the next token, as for causal_lm.

    Args:
        dim: features per token.
        vocabulary: size of the vocabulary and ids of its special tokens.
        variant: variant of the model.
        ahead: number of tokens to predict at each place, including the next one.
        label_smoothing: probability mass of a target that is spread uniformly over the vocabulary, in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    Source: Gloeckle et al. 2024.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("decoder", "documents")})
    reason: ClassVar[str] = "it needs documents, and a single stack with causal attention"
    models_text: ClassVar[bool] = True

    def __init__(
        self,
        dim: int,
        vocabulary: Vocabulary,
        variant: str,
        *,
        ahead: int = 4,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
    ) -> None:
        super().__init__(dim, vocabulary, variant, label_smoothing, z_loss)
        require_between("ahead", ahead, 2, 64)
        self.further = nn.ModuleList([nn.Linear(dim, dim, bias=False) for _ in range(ahead - 1)])

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Builds the view, which has no randomness."""
        if not isinstance(batch, DocumentBatch):
            raise TypeError("multi_token takes documents")
        segment = batch.segment[:, :-1]
        valid = (batch.segment[:, 1:] == segment) & (segment >= 0)
        return View(Inputs(batch.tokens[:, :-1], segment, batch.position[:, :-1]), batch.tokens[:, 1:], valid)

    def loss(self, model: LanguageModel, view: View) -> dict[str, Tensor]:
        """Returns a term for each token ahead, the mean over the places whose document continues that far."""
        hidden = model.compute_hidden(view.inputs)
        logits = model.defer_logits(view.select_valid(hidden))
        terms = self.compute_terms(logits, view.select_valid(view.targets))
        for steps, matrix in enumerate(self.further, start=1):
            asked = _mark_valid(view, steps)
            h = hidden[:, : asked.shape[1]][asked]
            logits = model.defer_logits(h + F.silu(matrix(h)))
            further = self.compute_terms(logits, view.targets[:, steps:][asked])
            terms |= {_TERM_NAMES[name].format(steps + 1): term for name, term in further.items()}
        return terms

    def count_terms(self, view: View) -> dict[str, int]:
        """Counts, for each term, the places whose document continues that far."""
        counts = super().count_terms(view)
        for steps in range(1, len(self.further) + 1):
            asked = int(_mark_valid(view, steps).sum())
            counts |= {name.format(steps + 1): asked for name in _TERM_NAMES.values()}
        return counts


def _mark_valid(view: View, steps: int) -> Tensor:
    """Returns True where the token ``steps`` after the next is in the same document, ``[batch, length - steps]``."""
    segment, length = view.inputs.segment, max(0, view.valid.shape[1] - steps)
    valid = view.valid[:, :length] & view.valid[:, steps:]
    return valid if segment is None else valid & (segment[:, :length] == segment[:, steps:])

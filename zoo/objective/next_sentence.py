"""Masked language modelling and next-sentence prediction."""

from __future__ import annotations

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.data.batch import Batch, DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.interfaces import Inputs, Objective, Readable, View
from zoo.objective.hiding import Hiding
from zoo.objective.rows import padding, stacked
from zoo.registry import register

_NOT_JUDGED = -100


@final
@register("objective", "next_sentence", paper="arXiv:1810.04805")
class NextSentence(Objective):
    """Predict tokens that were hidden, and whether the second part of ``bos A sep B sep`` follows the first.

    A row's text is divided at a random place; bos of its documents is left out. Rows meet two by two, divided at one
    place, and half of the twos exchange their second parts. All of a row is one segment: A and B see each other. The
    metrics are those of the hidden tokens, as for masked_lm.

    Args:
        dim: features per token.
        vocabulary: size and special tokens.
        variant: what reads.
        rate: share of a row's tokens that are chosen to be hidden; at least one a row.
        token_types: the model is told which part a token is in; its embedding needs two token types.
        label_smoothing: share of a hidden token's target that is spread over the vocabulary, in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    Source: Devlin et al. 2018.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("encoder", "documents")})
    reason: ClassVar[str] = "it needs texts to divide, and one stack whose tokens see both ways"
    accuracy: ClassVar[str] = "masked_accuracy"

    def __init__(
        self,
        dim: int,
        vocabulary: Vocabulary,
        variant: str,
        *,
        rate: float = 0.15,
        token_types: bool = False,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
    ) -> None:
        super().__init__(dim, vocabulary, variant, label_smoothing, z_loss)
        self.hiding, self.token_types = Hiding(vocabulary, rate), token_types
        self.pooler, self.follows = nn.Linear(dim, dim), nn.Linear(dim, 2)

    def longest(self, length: int) -> int:
        """A row gets bos and twice sep."""
        return length + 3

    def prepare(self, batch: Batch, generator: torch.Generator) -> View:
        """Which rows meet, where they are divided, whether they exchange, and what is hidden is drawn."""
        if not isinstance(batch, DocumentBatch):
            raise TypeError("next_sentence takes documents")
        bos, sep = self.vocabulary.bos, self.vocabulary.sep
        tokens, real = batch.tokens[:, :-1], (batch.segment[:, :-1] >= 0) & (batch.tokens[:, :-1] != bos)
        parts, label = _divided([row[own].tolist() for row, own in zip(tokens, real, strict=True)], generator)
        first, second = [[bos, *a, sep] for a, _ in parts], [[*b, sep] for _, b in parts]
        row = stacked([a + b for a, b in zip(first, second, strict=True)], self.vocabulary.pad)
        types = stacked([[0] * len(a) + [1] * len(b) for a, b in zip(first, second, strict=True)], 0)
        segment = padding(torch.tensor([len(a) + len(b) for a, b in zip(first, second, strict=True)]), row.shape[1])
        chosen = self.hiding.choose(row, segment >= 0, generator)
        read = self.hiding.hide(row, chosen, generator)
        inputs = Inputs(read, segment, token_type=types if self.token_types else None)
        return View(inputs, row, chosen, {"other": label})

    def loss(self, model: Readable, view: View) -> dict[str, Tensor]:
        """Cross-entropy of the hidden tokens, and of what was said of the second parts."""
        hidden = model.hidden(view.inputs)
        terms = self.terms(model.logits(hidden[view.valid]), view.targets[view.valid])
        logits = self.follows(torch.tanh(self.pooler(hidden[:, 0]))).float()
        label = view.extra["other"].masked_fill(~view.valid.any(dim=1), _NOT_JUDGED)
        total = F.cross_entropy(logits, label, reduction="sum", ignore_index=_NOT_JUDGED)
        return terms | {"next_sentence": total / (label != _NOT_JUDGED).sum().clamp(min=1)}


def _divided(rows: list[list[int]], generator: torch.Generator) -> tuple[list[tuple[list[int], list[int]]], Tensor]:
    """Both parts of each row, and 1 where the second is another row's; a row too short to divide is not judged."""
    parts: list[tuple[list[int], list[int]]] = [(row, []) for row in rows]
    label = torch.full((len(rows),), _NOT_JUDGED)
    order = torch.randperm(len(rows), generator=generator).tolist()
    for at in range(0, len(rows), 2):
        firsts = order[at : at + 2]
        shortest = min(len(rows[row]) for row in firsts)
        cut = 1 + int(torch.randint(max(1, shortest - 1), (), generator=generator))
        exchanged = len(firsts) == 2 and bool(torch.rand((), generator=generator) < 0.5)
        if shortest < 2:
            continue
        for first, second in zip(firsts, firsts[::-1] if exchanged else firsts, strict=True):
            parts[first], label[first] = (rows[first][:cut], rows[second][cut:]), int(exchanged)
    return parts, label

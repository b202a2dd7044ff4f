"""Masked language modeling and next-sentence prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.components.objective._rows import build_segments, pad_rows
from zoo.components.objective._token_masking import TokenMasking
from zoo.data.batch import Batch, DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model.inputs import Inputs
from zoo.model.objective import LanguageModel, Objective, View
from zoo.model.parameter_roles import Role
from zoo.registry import register

_IGNORED = -100
"""Label of rows that are ignored in the loss."""


@final
@register("objective", "next_sentence", paper="arXiv:1810.04805")
class NextSentence(Objective):
    """Predict masked tokens, and whether the second part of ``bos A sep B sep`` follows the first.

    The text of a row, without the bos tokens of its documents, is divided at a random place. In half of the rows, B is
    not the rest of the row but that of a random other row of the split, divided at the same place. A row is a single
    segment, so that A and B attend to each other.

    The loss is the mean of ``-log p(x[t] | x')`` over the masked tokens of a row x, of which the model reads x', plus
    the mean of ``-log softmax(V tanh(W h + a) + b)[c]`` over the rows, where h is the hidden state of bos, and c says
    whether B follows A. The metrics are those of the masked tokens, as for masked_lm.

    Args:
        dim: features per token.
        vocabulary: size of the vocabulary and ids of its special tokens.
        variant: variant of the model.
        rate: fraction of the tokens of a row to predict; at least one token per row.
        token_types: whether the model reads the part of each token as its token type; its embedding must have two token
            types.
        label_smoothing: probability mass of the target of a masked token that is spread uniformly over the vocabulary,
            in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    Source: Devlin et al. 2018.
    """

    roles: ClassVar[Mapping[str, Role]] = {"follows.weight": "readout"}
    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("encoder", "documents")})
    reason: ClassVar[str] = "it needs documents to divide, and a single stack with bidirectional attention"
    accuracy: ClassVar[str] = "masked_accuracy"
    needs_partner: ClassVar[bool] = True

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
        self.masking, self.token_types = TokenMasking(vocabulary, rate), token_types
        self.pooler, self.follows = nn.Linear(dim, dim), nn.Linear(dim, 2)

    def get_max_length(self, length: int) -> int:
        """Returns ``length + 3``, for bos and two sep tokens."""
        return length + 3

    def get_required_tokens(self, form: str, length: int) -> Required:
        """Returns mask, and sep after each part."""
        return Required(mask=True, sep=True)

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Draws the division of each row, whether its second part is replaced, and the tokens to predict."""
        if not isinstance(batch, DocumentBatch) or batch.partner is None:
            raise TypeError("next_sentence takes documents, each row with a partner")
        bos, sep, width = self.vocabulary.bos, self.vocabulary.sep, self.get_max_length(batch.tokens.shape[1] - 1)
        divided = zip(_list_texts(batch, bos), _list_texts(batch.partner, bos), generators, strict=True)
        first, second, label = zip(*(_split_row(*row) for row in divided), strict=True)
        ends = torch.tensor([(len(a) + 2, len(a) + len(b) + 3) for a, b in zip(first, second, strict=True)])
        row = pad_rows(
            [[bos, *a, sep, *b, sep] for a, b in zip(first, second, strict=True)], self.vocabulary.pad, width
        )
        segment = build_segments(ends[:, 1], width)
        chosen = self.masking.select(row, segment >= 0, generators)  # of a width that no other row of the batch decides
        read = self.masking.replace(row, chosen, generators)
        types = (segment >= 0).long() - build_segments(ends[:, 0], width) - 1
        longest = int(ends[:, 1].max())
        inputs = Inputs(
            read[:, :longest], segment[:, :longest], token_type=types[:, :longest] if self.token_types else None
        )
        return View(inputs, row[:, :longest], chosen[:, :longest], {"other": torch.tensor(label)})

    def loss(self, model: LanguageModel, view: View) -> dict[str, Tensor]:
        """Returns the cross-entropy of the masked tokens, and that of the next-sentence prediction."""
        hidden = model.compute_hidden(view.inputs)
        answers = model.defer_logits(view.select_valid(hidden))
        terms = self.compute_terms(answers, view.select_valid(view.targets))
        logits, label = self.follows(torch.tanh(self.pooler(hidden[:, 0]))).float(), _get_labels(view)
        total = F.cross_entropy(logits, label, reduction="sum", ignore_index=_IGNORED)
        return terms | {"next_sentence": total / (label != _IGNORED).sum().clamp(min=1)}

    def count_terms(self, view: View) -> dict[str, int]:
        """Counts the masked tokens, and the rows with a label."""
        return super().count_terms(view) | {"next_sentence": int((_get_labels(view) != _IGNORED).sum())}


def _get_labels(view: View) -> Tensor:
    """Returns the label of each row; rows without tokens to predict are ignored."""
    return view.extra["other"].masked_fill(~view.valid.any(dim=1), _IGNORED)


def _list_texts(batch: DocumentBatch, bos: int) -> list[list[int]]:
    """Returns the tokens of each row without padding, bos, and the last token, which is only a target."""
    tokens, segment = batch.tokens[:, :-1], batch.segment[:, :-1]
    return [row[own].tolist() for row, own in zip(tokens, (segment >= 0) & (tokens != bos), strict=True)]


def _split_row(row: list[int], partner: list[int], generator: torch.Generator) -> tuple[list[int], list[int], int]:
    """Returns both parts of a row, and label 1 if the second is from its partner; rows too short are ignored."""
    shortest = min(len(row), len(partner))
    if shortest < 2:
        return row, [], _IGNORED
    cut = 1 + int(torch.randint(shortest - 1, (), generator=generator))
    if torch.rand((), generator=generator) < 0.5 or row[cut:] == partner[cut:]:  # equal parts do follow
        return row[:cut], row[cut:], 0
    return row[:cut], partner[cut:], 1

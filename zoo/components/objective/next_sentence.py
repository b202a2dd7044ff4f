"""Masked language modeling and next-sentence prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.components.objective._hiding import Hiding
from zoo.components.objective._rows import padding, stacked
from zoo.data.batch import Batch, DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model.interfaces import Inputs, LanguageModel, Objective, View
from zoo.model.parameter_roles import Role
from zoo.registry import register

_NOT_JUDGED = -100


@final
@register("objective", "next_sentence", paper="arXiv:1810.04805")
class NextSentence(Objective):
    """Predict tokens that were hidden, and whether the second part of ``bos A sep B sep`` follows the first.

    A row's text is divided at a random place; bos of its documents is left out. In half of the rows B is not its own
    rest but that of another row of the split, which is drawn for each row and divided at the same place. All of a row
    is one segment: A and B see each other. The metrics are those of the hidden tokens, as for masked_lm.

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

    roles: ClassVar[Mapping[str, Role]] = {"follows.weight": "readout"}
    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("encoder", "documents")})
    reason: ClassVar[str] = "it needs texts to divide, and one stack whose tokens see both ways"
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
        self.hiding, self.token_types = Hiding(vocabulary, rate), token_types
        self.pooler, self.follows = nn.Linear(dim, dim), nn.Linear(dim, 2)

    def get_max_length(self, length: int) -> int:
        """A row gets bos and twice sep."""
        return length + 3

    def get_required_tokens(self, form: str, length: int) -> Required:
        """Mask, and sep between the halves."""
        return Required(mask=True, sep=True)

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Where a row is divided, whether its second part is its partner's, and what is hidden is drawn."""
        if not isinstance(batch, DocumentBatch) or batch.partner is None:
            raise TypeError("next_sentence takes documents, each row with a partner")
        bos, sep, width = self.vocabulary.bos, self.vocabulary.sep, self.get_max_length(batch.tokens.shape[1] - 1)
        divided = zip(_texts(batch, bos), _texts(batch.partner, bos), generators, strict=True)
        first, second, label = zip(*(_divide(*row) for row in divided), strict=True)
        ends = torch.tensor([(len(a) + 2, len(a) + len(b) + 3) for a, b in zip(first, second, strict=True)])
        row = stacked([[bos, *a, sep, *b, sep] for a, b in zip(first, second, strict=True)], self.vocabulary.pad, width)
        segment = padding(ends[:, 1], width)
        chosen = self.hiding.choose(row, segment >= 0, generators)  # of a width that no other row of the batch decides
        read = self.hiding.hide(row, chosen, generators)
        types = (segment >= 0).long() - padding(ends[:, 0], width) - 1
        longest = int(ends[:, 1].max())
        inputs = Inputs(
            read[:, :longest], segment[:, :longest], token_type=types[:, :longest] if self.token_types else None
        )
        return View(inputs, row[:, :longest], chosen[:, :longest], {"other": torch.tensor(label)})

    def loss(self, model: LanguageModel, view: View) -> dict[str, Tensor]:
        """Cross-entropy of the hidden tokens, and of what was said of the second parts."""
        hidden = model.compute_hidden(view.inputs)
        terms = self.compute_terms(model.logits(hidden[view.valid]), view.targets[view.valid])
        logits, label = self.follows(torch.tanh(self.pooler(hidden[:, 0]))).float(), _judged(view)
        total = F.cross_entropy(logits, label, reduction="sum", ignore_index=_NOT_JUDGED)
        return terms | {"next_sentence": total / (label != _NOT_JUDGED).sum().clamp(min=1)}

    def count_terms(self, view: View) -> dict[str, int]:
        """The hidden tokens, and the rows that are judged."""
        return super().count_terms(view) | {"next_sentence": int((_judged(view) != _NOT_JUDGED).sum())}


def _judged(view: View) -> Tensor:
    """The label of each row; a row that asks for nothing is not judged."""
    return view.extra["other"].masked_fill(~view.valid.any(dim=1), _NOT_JUDGED)


def _texts(batch: DocumentBatch, bos: int) -> list[list[int]]:
    """The real tokens of each row but bos, without the token that is only a target."""
    tokens, segment = batch.tokens[:, :-1], batch.segment[:, :-1]
    return [row[own].tolist() for row, own in zip(tokens, (segment >= 0) & (tokens != bos), strict=True)]


def _divide(row: list[int], partner: list[int], generator: torch.Generator) -> tuple[list[int], list[int], int]:
    """Both parts of a row, and 1 where the second is its partner's; a row too short to divide is not judged."""
    shortest = min(len(row), len(partner))
    if shortest < 2:
        return row, [], _NOT_JUDGED
    cut = 1 + int(torch.randint(shortest - 1, (), generator=generator))
    if torch.rand((), generator=generator) < 0.5 or row[cut:] == partner[cut:]:  # then it does follow
        return row[:cut], row[cut:], 0
    return row[:cut], partner[cut:], 1

"""Mixture of denoisers (UL2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import ClassVar, final

import torch

from zoo.checks import Refused, require, require_between
from zoo.components.objective._spans import (
    CorruptedDocument,
    Spans,
    build_view,
    count_max_spans,
    count_spans,
    draw_spans,
    replace_spans,
    split_documents,
)
from zoo.data.batch import Batch, DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model.objective import Objective, View
from zoo.registry import register

Denoiser = tuple[float, float]
"""Fraction of the tokens in spans, and mean length of a span."""
REGULAR: tuple[Denoiser, ...] = ((0.15, 3.0), (0.15, 8.0))
EXTREME: tuple[Denoiser, ...] = ((0.5, 3.0), (0.5, 8.0), (0.15, 64.0), (0.5, 64.0))
_SEQUENTIAL = 1
_MODES = 3


@dataclass(frozen=True)
class Shares:
    """Relative frequencies of the modes; 2 : 1 : 4 draws the seven denoisers of the paper with equal probability.

    Args:
        regular: weight of short spans with few of the tokens (R).
        sequential: weight of a span at the end of a document (S).
        extreme: weight of long spans, or of spans with half of the tokens (X).
    """

    regular: float = 2.0
    sequential: float = 1.0
    extreme: float = 4.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            require_between(f"shares.{name}", value, 0.0, 1e6)
        require(sum(astuple(self)) > 0, f"shares must not all be zero: got {self}")


@final
@register("objective", "ul2", paper="arXiv:2205.05131")
class Ul2(Objective):
    """Span corruption with a mode that is drawn for each row: regular, sequential or extreme.

    Regular: 15 % of the tokens in spans of 3 or 8. Sequential: a single span at the end of a document, with at most
    half and on average a quarter of its tokens. Extreme: 50 % of the tokens in spans of 3, 8 or 64, or 15 % in spans of
    64. Rows have the format of span_corruption.

    The loss is the mean of ``-log p(y[t] | x', y[:t])`` over the tokens y of sentinels, spans and eos, given the
    corrupted document x'.

    Args:
        dim: features per token.
        vocabulary: size of the vocabulary and ids of its special tokens, with a sentinel for each span of a document.
        variant: variant of the model.
        shares: relative frequencies of the modes.
        mode_tokens: whether a corrupted document starts with a token for its mode. The last three sentinels, which are
            then not available for spans, stand for extreme, sequential and regular.
        label_smoothing: probability mass of a target that is spread uniformly over the vocabulary, in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    Source: Tay et al. 2022, table 1.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset(
        {("encoder_decoder", "documents"), ("decoder", "documents")}
    )
    reason: ClassVar[str] = "it needs documents, and a stack with causal attention that generates the spans"

    def __init__(
        self,
        dim: int,
        vocabulary: Vocabulary,
        variant: str,
        *,
        shares: Shares = Shares(),
        mode_tokens: bool = True,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
    ) -> None:
        super().__init__(dim, vocabulary, variant, label_smoothing, z_loss)
        self.shares, self.mode_tokens = shares, mode_tokens

    def get_max_length(self, length: int) -> int:
        """Returns the greatest length of a row: for a decoder three tokens for one, for an encoder-decoder two."""
        free = len(self.vocabulary.sentinels) - (_MODES if self.mode_tokens else 0)
        for density, span in self._list_denoisers():
            spans = count_spans(length, density, span)[1]
            if spans > free:
                raise Refused(
                    f"a document of {length} tokens needs {spans} sentinels with {density:.0%} of it in spans of "
                    f"{span:g}: {free} are available"
                )
        return 2 * length if self.variant == "encoder_decoder" else 3 * length

    def get_required_tokens(self, form: str, length: int) -> Required:
        """Returns a sentinel for each span of the longest document and for each mode, and sep for a decoder."""
        spans = max([1, *(count_max_spans(length, density, span) for density, span in self._list_denoisers())])
        return Required(sep=self.variant != "encoder_decoder", sentinels=spans + (_MODES if self.mode_tokens else 0))

    def _list_denoisers(self) -> list[Denoiser]:
        """Lists the denoisers of the modes in use, except for the sequential mode, which has a single span."""
        return [*(REGULAR if self.shares.regular else ()), *(EXTREME if self.shares.extreme else ())]

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Draws the mode of each row, then its denoiser, then the spans of each document, and builds the view."""
        if not isinstance(batch, DocumentBatch):
            raise TypeError("ul2 takes documents")
        rows = [self._corrupt_row(*row) for row in zip(split_documents(batch), generators, strict=True)]
        return build_view(rows, self.vocabulary, self.variant)

    def _corrupt_row(self, documents: list[list[int]], generator: torch.Generator) -> list[CorruptedDocument]:
        mode = int(torch.multinomial(torch.tensor(astuple(self.shares)), 1, generator=generator))
        if mode == _SEQUENTIAL:
            spans = [_draw_suffix(len(document), generator) for document in documents]
        else:
            denoisers = EXTREME if mode else REGULAR
            density, span = denoisers[int(torch.randint(len(denoisers), (), generator=generator))]
            spans = [draw_spans(len(document), density, span, generator) for document in documents]
        start = [self.vocabulary.sentinels[-1 - mode]] if self.mode_tokens else []
        pairs = zip(documents, spans, strict=True)
        corrupted = [replace_spans(document, drawn, self.vocabulary) for document, drawn in pairs]
        return [([*start, *tokens], target) for tokens, target in corrupted]


def _draw_suffix(length: int, generator: torch.Generator) -> Spans:
    """Draws a single span at the end of ``length`` tokens."""
    if length < 2:
        return []
    hidden = 1 + int(torch.randint(length // 2, (), generator=generator))
    return [(length - hidden, hidden)]

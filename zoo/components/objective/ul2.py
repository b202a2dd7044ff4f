"""A mixture of denoisers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import ClassVar, final

import torch

from zoo.checks import Refused, require, require_between
from zoo.components.objective._spans import (
    Corrupted,
    Spans,
    corrupt,
    count_spans,
    documents_of,
    most_spans,
    random_spans,
    view_of,
)
from zoo.data.batch import Batch, DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model.interfaces import Objective, View
from zoo.registry import register

Denoiser = tuple[float, float]  # share of the tokens in spans, and their mean length
REGULAR: tuple[Denoiser, ...] = ((0.15, 3.0), (0.15, 8.0))
EXTREME: tuple[Denoiser, ...] = ((0.5, 3.0), (0.5, 8.0), (0.15, 64.0), (0.5, 64.0))
_SEQUENTIAL = 1
_MODES = 3


@dataclass(frozen=True)
class Shares:
    """How often each mode is drawn, in relation to the others; 2 : 1 : 4 is the paper's seven denoisers evenly.

    Args:
        regular: short spans, few of the tokens (R).
        sequential: the end of a document (S).
        extreme: long spans, or half of the tokens (X).
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
    """Span corruption whose mode is drawn for each row: regular, sequential or extreme.

    Regular: 15 % in spans of 3 or 8. Sequential: one span, the end of a document, up to half of it and a quarter on
    average. Extreme: 50 % in spans of 3, 8 or 64, or 15 % in spans of 64. Rows look as those of span_corruption.

    Args:
        dim: features per token.
        vocabulary: size and special tokens; each span of a document takes a sentinel.
        variant: what reads.
        shares: how often each mode is drawn.
        mode_tokens: what is left of a document begins with the token of its mode: the last sentinel is regular, the one
            before it sequential, the one before that extreme. They are then no longer free for spans.
        label_smoothing: share of the target that is spread over the vocabulary, in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    Source: Tay et al. 2022, table 1.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset(
        {("encoder_decoder", "documents"), ("decoder", "documents")}
    )
    reason: ClassVar[str] = "it needs documents, and tokens that see only what came before to write the spans"

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
        """As span_corruption, and the mode: of one stack at most three tokens for one, of two at most two."""
        free = len(self.vocabulary.sentinels) - (_MODES if self.mode_tokens else 0)
        for density, span in self._drawn():
            spans = count_spans(length, density, span)[1]
            if spans > free:
                raise Refused(
                    f"a document of {length} tokens takes {spans} sentinels where {density:.0%} of it are in spans of "
                    f"{span:g}: {free} are free"
                )
        return 2 * length if self.variant == "encoder_decoder" else 3 * length

    def get_required_tokens(self, form: str, length: int) -> Required:
        """A sentinel for each span of the longest document, and for each mode; sep where one stack reads and writes."""
        spans = max([1, *(most_spans(length, density, span) for density, span in self._drawn())])
        return Required(sep=self.variant != "encoder_decoder", sentinels=spans + (_MODES if self.mode_tokens else 0))

    def _drawn(self) -> list[Denoiser]:
        """Denoisers of the modes that are drawn, but for the sequential one, which takes one span."""
        return [*(REGULAR if self.shares.regular else ()), *(EXTREME if self.shares.extreme else ())]

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Of each row the mode is drawn, then the denoiser, then the spans of each document."""
        if not isinstance(batch, DocumentBatch):
            raise TypeError("ul2 takes documents")
        rows = [self._row(*drawn) for drawn in zip(documents_of(batch), generators, strict=True)]
        return view_of(rows, self.vocabulary, self.variant)

    def _row(self, documents: list[list[int]], generator: torch.Generator) -> list[Corrupted]:
        mode = int(torch.multinomial(torch.tensor(astuple(self.shares)), 1, generator=generator))
        if mode == _SEQUENTIAL:
            spans = [_end(len(document), generator) for document in documents]
        else:
            denoisers = EXTREME if mode else REGULAR
            density, span = denoisers[int(torch.randint(len(denoisers), (), generator=generator))]
            spans = [random_spans(len(document), density, span, generator) for document in documents]
        start = [self.vocabulary.sentinels[-1 - mode]] if self.mode_tokens else []
        corrupted = [corrupt(document, own, self.vocabulary) for document, own in zip(documents, spans, strict=True)]
        return [([*start, *left], written) for left, written in corrupted]


def _end(length: int, generator: torch.Generator) -> Spans:
    """One span at the end of ``length`` tokens."""
    if length < 2:
        return []
    hidden = 1 + int(torch.randint(length // 2, (), generator=generator))
    return [(length - hidden, hidden)]

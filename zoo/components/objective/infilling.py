"""Blank infilling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch

from zoo.checks import require_between
from zoo.components.objective._rows import pad_rows
from zoo.components.objective._spans import draw_spans, split_documents
from zoo.data.batch import Batch, DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model.inputs import Inputs
from zoo.model.objective import Objective, View
from zoo.registry import register

Place = tuple[int, int, int, int]
"""Token, index of the document, position, and target."""


@final
@register("objective", "infilling", paper="arXiv:2103.10360")
class Infilling(Objective):
    """Read documents with each span replaced by one mask token, then predict the spans in random order (GLM).

    A row is ``A1 A2 … B1 B2 …``: A is a document with masked spans, and B its spans, each as ``sep span``, from which
    ``span eos`` is predicted. The parts A are a prefix with bidirectional attention; documents do not attend to each
    other. The paper gives a token of B two positions, that of its mask token and its place in the span. Here it has one
    position, their sum, which conveys the mask token and the progress within the span. The position in the original
    text would reveal the length of a span before it is predicted.

    The loss is the mean of ``-log p(b[t] | A, b[:t])`` over the tokens of spans and their eos, where b are the parts B
    of the document in their random order.

    Args:
        dim: features per token.
        vocabulary: size of the vocabulary and ids of its special tokens.
        variant: variant of the model.
        density: fraction of the tokens of a document in spans.
        span: mean length of a span.
        label_smoothing: probability mass of a target that is spread uniformly over the vocabulary, in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    Source: Du et al. 2021, section 2.1.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("decoder", "documents")})
    reason: ClassVar[str] = "it needs documents, and a single stack with a bidirectional prefix and causal attention"
    needs: ClassVar[frozenset[str]] = frozenset({"prefix"})

    def __init__(
        self,
        dim: int,
        vocabulary: Vocabulary,
        variant: str,
        *,
        density: float = 0.15,
        span: float = 3.0,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
    ) -> None:
        super().__init__(dim, vocabulary, variant, label_smoothing, z_loss)
        require_between("density", density, 0.01, 0.9)
        require_between("span", span, 1.0, 100.0)
        self.density, self.span = density, span

    def get_max_length(self, length: int) -> int:
        """Returns ``2 * length``: a span adds mask and sep; it and the gap before it have at least one token each."""
        return 2 * length

    def get_required_tokens(self, form: str, length: int) -> Required:
        """Returns mask and sep."""
        return Required(mask=True, sep=True)

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Draws the spans and the order in which those of a document are predicted, and builds the view."""
        if not isinstance(batch, DocumentBatch):
            raise TypeError("infilling takes documents")
        prefixes: list[list[Place]] = [[] for _ in range(batch.rows)]
        suffixes: list[list[Place]] = [[] for _ in range(batch.rows)]
        for row, documents in enumerate(split_documents(batch)):
            for number, document in enumerate(documents):
                masked, spans = self._mask_spans(document, number, generators[row])
                prefixes[row] += masked
                suffixes[row] += spans
        rows = [a + b for a, b in zip(prefixes, suffixes, strict=True)]
        tokens, segment, position, targets = (
            pad_rows([[place[part] for place in row] for row in rows], fill)
            for part, fill in enumerate((self.vocabulary.pad, -1, 0, self.vocabulary.pad))
        )
        prefix = torch.tensor([len(row) for row in prefixes])
        valid = (torch.arange(tokens.shape[1])[None] >= prefix[:, None]) & (segment >= 0)
        return View(Inputs(tokens, segment, position, prefix), targets, valid)

    def _mask_spans(
        self, document: list[int], number: int, generator: torch.Generator
    ) -> tuple[list[Place], list[Place]]:
        """Returns a document with masked spans, whose targets are unused, and its spans in random order."""
        masked: list[int] = []
        spans: list[list[Place]] = []
        at = 0
        for gap, length in draw_spans(len(document), self.density, self.span, generator):
            masked += [*document[at : at + gap], self.vocabulary.mask]
            span = document[at + gap : at + gap + length]
            pairs = zip([self.vocabulary.sep, *span], [*span, self.vocabulary.eos], strict=True)
            spans.append([(token, number, len(masked) - 1 + i, target) for i, (token, target) in enumerate(pairs)])
            at += gap + length
        masked += document[at:]
        order = torch.randperm(len(spans), generator=generator).tolist()
        return [(token, number, i, token) for i, token in enumerate(masked)], [p for i in order for p in spans[i]]

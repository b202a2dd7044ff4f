"""Blank infilling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch

from zoo.checks import require_between
from zoo.components.objective._rows import stacked
from zoo.components.objective._spans import documents_of, random_spans
from zoo.data.batch import Batch, DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model.interfaces import Inputs, Objective, View
from zoo.registry import register

Place = tuple[int, int, int, int]  # token, document, position, target


@final
@register("objective", "infilling", paper="arXiv:2103.10360")
class Infilling(Objective):
    """Read a text whose spans are one mask each, both ways, then write the spans in a shuffled order.

    A row is ``A1 A2 … B1 B2 …``: A is what is left of a document, B its spans, each ``sep span`` from which
    ``span eos`` is predicted. The As are the prefix; documents keep to themselves. The paper gives a token of B two
    positions, that of its mask and its place in the span; here there is one, their sum: it tells which mask is filled
    and how far. The position in the original text would tell how long a span is before it is written.

    Args:
        dim: features per token.
        vocabulary: size and special tokens.
        variant: what reads.
        density: share of a document's tokens in spans.
        span: mean length of a span.
        label_smoothing: share of the target that is spread over the vocabulary, in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    Source: Du et al. 2021, section 2.1.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("decoder", "documents")})
    reason: ClassVar[str] = "it needs documents, and one stack that sees a prefix both ways and writes after it"
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
        """Each span adds its mask and its sep, and is itself of at least one token, as is the gap before it."""
        return 2 * length

    def get_required_tokens(self, form: str, length: int) -> Required:
        """Mask for each span, and sep before it is written."""
        return Required(mask=True, sep=True)

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Where spans begin and end is drawn, and the order in which those of a document are written."""
        if not isinstance(batch, DocumentBatch):
            raise TypeError("infilling takes documents")
        read: list[list[Place]] = [[] for _ in range(batch.rows)]
        written: list[list[Place]] = [[] for _ in range(batch.rows)]
        for row, documents in enumerate(documents_of(batch)):
            for number, document in enumerate(documents):
                left, spans = self._blank(document, number, generators[row])
                read[row] += left
                written[row] += spans
        whole = [a + b for a, b in zip(read, written, strict=True)]
        tokens, segment, position, targets = (
            stacked([[place[part] for place in row] for row in whole], fill)
            for part, fill in enumerate((self.vocabulary.pad, -1, 0, self.vocabulary.pad))
        )
        prefix = torch.tensor([len(row) for row in read])
        valid = (torch.arange(tokens.shape[1])[None] >= prefix[:, None]) & (segment >= 0)
        return View(Inputs(tokens, segment, position, prefix), targets, valid)

    def _blank(self, document: list[int], number: int, generator: torch.Generator) -> tuple[list[Place], list[Place]]:
        """What is left of a document, and its spans; what is left has itself as targets, which nobody asks for."""
        left: list[int] = []
        spans: list[list[Place]] = []
        at = 0
        for gap, length in random_spans(len(document), self.density, self.span, generator):
            left += [*document[at : at + gap], self.vocabulary.mask]
            hidden = document[at + gap : at + gap + length]
            pairs = zip([self.vocabulary.sep, *hidden], [*hidden, self.vocabulary.eos], strict=True)
            spans.append([(token, number, len(left) - 1 + i, target) for i, (token, target) in enumerate(pairs)])
            at += gap + length
        left += document[at:]
        order = torch.randperm(len(spans), generator=generator).tolist()
        return [(token, number, i, token) for i, token in enumerate(left)], [p for one in order for p in spans[one]]

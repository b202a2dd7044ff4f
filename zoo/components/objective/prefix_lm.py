"""Prefix language modeling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

import torch

from zoo.components.objective._rows import continuation, translation
from zoo.data.batch import Batch, DocumentBatch, PairBatch
from zoo.data.interfaces import Vocabulary
from zoo.model.interfaces import Inputs, Objective, View
from zoo.registry import register


@final
@register("objective", "prefix_lm", paper="arXiv:1910.10683")
class PrefixLm(Objective):
    """See a prefix both ways and predict each token of the rest; of a pair, the source is the prefix.

    Rows of documents are divided at a random place. A decoder sees its prefix by its mask; in an encoder-decoder the
    encoder reads it. Documents of a row never see each other.

    Args:
        dim: features per token.
        vocabulary: size and special tokens.
        variant: what reads.
        label_smoothing: share of the target that is spread over the vocabulary, in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    Source: Raffel et al. 2020.
    """

    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset(
        {(variant, form) for variant in ("decoder", "encoder_decoder") for form in ("documents", "pairs")}
    )
    reason: ClassVar[str] = "an encoder has no tokens that see only what came before"
    needs: ClassVar[frozenset[str]] = frozenset({"prefix"})

    def __init__(
        self, dim: int, vocabulary: Vocabulary, variant: str, *, label_smoothing: float = 0.0, z_loss: float = 0.0
    ) -> None:
        super().__init__(dim, vocabulary, variant, label_smoothing, z_loss)

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Where rows of documents are divided is drawn uniformly."""
        if isinstance(batch, PairBatch):
            if self.variant == "decoder":
                return continuation(batch, self.vocabulary, prefix=True)
            return translation(batch, self.vocabulary)
        length = batch.tokens.shape[1] - 1
        prefix = torch.cat([torch.randint(1, max(2, length), (1,), generator=generator) for generator in generators])
        return self._one_stack(batch, prefix) if self.variant == "decoder" else self._two_stacks(batch, prefix)

    def _one_stack(self, batch: DocumentBatch, prefix: torch.Tensor) -> View:
        segment = batch.segment[:, :-1]
        after = torch.arange(segment.shape[1])[None] >= prefix[:, None] - 1
        valid = after & (batch.segment[:, 1:] == segment) & (segment >= 0)
        inputs = Inputs(batch.tokens[:, :-1], segment, batch.position[:, :-1], prefix)
        return View(inputs, batch.tokens[:, 1:], valid)

    def _two_stacks(self, batch: DocumentBatch, prefix: torch.Tensor) -> View:
        """The decoder begins with the last token of the prefix, so that it predicts all that follows."""
        one = self._one_stack(batch, prefix)
        hidden = torch.arange(one.targets.shape[1])[None] < prefix[:, None] - 1
        segment = batch.segment[:, :-1]
        inputs = Inputs(
            one.inputs.tokens,
            segment.masked_fill(hidden, -1),
            one.inputs.position,
            source=one.inputs.tokens,
            source_segment=segment.masked_fill(torch.arange(segment.shape[1])[None] >= prefix[:, None], -1),
            source_position=one.inputs.position,
        )
        return View(inputs, one.targets, one.valid & ~hidden)

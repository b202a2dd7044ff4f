"""Inputs of a model: tokens, their segments and positions, and those of a source."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Inputs:
    """Inputs of a model.

    Args:
        tokens: token ids of the only stack or the decoder ``[batch, length]``.
        segment: packed documents and padding, as in ``Tokens``.
        position: positions ``[batch or 1, length]``; None: order of arrival.
        prefix: number of leading tokens that all tokens of a decoder may attend to ``[batch]``.
        source: token ids of the encoder of an encoder-decoder ``[batch, source]``.
        source_segment: packed documents and padding of the source.
        source_position: positions of the source.
        start: number of tokens that arrived before these (decoding with caches).
        token_type: token type of each token ``[batch, length]``; None: all 0.
    """

    tokens: Tensor
    segment: Tensor | None = None
    position: Tensor | None = None
    prefix: Tensor | None = None
    source: Tensor | None = None
    source_segment: Tensor | None = None
    source_position: Tensor | None = None
    start: int = 0
    token_type: Tensor | None = None

    def simplify(self) -> Inputs:
        """Leaves out segments and positions that say nothing, so that attention needs no mask.

        These are the segments of rows that are one document without padding, and positions that count from 0. Reads
        values, so the inputs should be on the CPU.
        """
        segment, position = _simplify(self.segment, self.position)
        source_segment, source_position = _simplify(self.source_segment, self.source_position)
        return replace(
            self,
            segment=segment,
            position=position,
            source_segment=source_segment,
            source_position=source_position,
        )

    def count_tokens(self) -> int:
        """Counts the tokens that are not padding."""
        return self.tokens.numel() if self.segment is None else int((self.segment >= 0).sum())

    def count_source_tokens(self) -> int:
        """Counts the tokens of the source that are not padding."""
        if self.source is None:
            return 0
        return self.source.numel() if self.source_segment is None else int((self.source_segment >= 0).sum())


def _simplify(segment: Tensor | None, position: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """Returns None for a segment, and for a position with it, that say nothing."""
    if segment is not None and bool(((segment == segment[:, :1]) & (segment >= 0)).all()):
        segment = None
    if (
        segment is None
        and position is not None
        and torch.equal(position, torch.arange(position.shape[1]).expand_as(position))
    ):
        position = None
    return segment, position

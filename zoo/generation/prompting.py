"""How a text becomes what a model reads, and what it writes becomes a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import tokenizers
import torch
from torch import Tensor

from zoo.checks import Refused
from zoo.model.interfaces import Inputs
from zoo.model.variants.encoder_decoder import EncoderDecoder
from zoo.model.variants.variant import Variant


@dataclass(frozen=True)
class Prompting:
    """A tokenizer, and what stands around a prompt.

    Args:
        tokenizer: a special token that is spelled in a prompt is read as that token.
        ends: tokens that end a text.
        own_rules: whether the tokenizer puts around a text what its file says.
        before: tokens that come before the prompt.
        after: tokens that come after it.
        start: what the decoder of an encoder-decoder begins with; None: with the prompt's last token, at its place.
        both_ways: whether a decoder sees the prompt both ways.
        answers: whether a decoder writes a text of its own; else the prompt goes on.
        mask: the token that an encoder fills.
        shown: special tokens that are part of what is written (sentinels).
    """

    tokenizer: tokenizers.Tokenizer
    ends: frozenset[int] = frozenset()
    own_rules: bool = True
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    start: tuple[int, ...] | None = ()
    both_ways: bool = False
    answers: bool = False
    mask: int | None = None
    shown: frozenset[int] = frozenset()

    def encode(self, text: str, vocabulary: int) -> list[int]:
        """The tokens of a prompt, and those around it.

        Raises:
            Refused: if there are none, or one for which a model of so many tokens has no vector.
        """
        own = self.tokenizer.encode(text, add_special_tokens=self.own_rules).ids
        ids = [*self.before, *own, *self.after]
        if not ids:
            raise Refused("the prompt must not be empty, for this tokenizer puts no token before it")
        if max(ids) >= vocabulary:
            raise Refused(f"the tokenizer has token {max(ids)}: the model has vectors for {vocabulary} tokens")
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens; special ones are left out, but for sentinels."""
        return self.tokenizer.decode([token for token in ids if token not in self._silent], skip_special_tokens=False)

    @cached_property
    def _silent(self) -> frozenset[int]:
        added = self.tokenizer.get_added_tokens_decoder()
        return frozenset(token for token, about in added.items() if about.special) - self.shown

    def inputs(self, model: Variant, rows: Sequence[Sequence[int]]) -> Inputs:
        """What a decoder or an encoder-decoder reads of prompts, side by side."""
        device = model.embedding.table.weight.device
        tokens, segment = padded(rows, device)
        if not isinstance(model, EncoderDecoder):
            seen = torch.full((len(rows),), tokens.shape[1], device=device) if self.both_ways else None
            return Inputs(tokens, segment, prefix=seen)
        if self.start is not None:
            start = torch.tensor([self.start] * len(rows), device=device)
            return Inputs(start, source=tokens, source_segment=segment)
        length = torch.tensor([len(row) for row in rows], device=device)[:, None]
        return Inputs(tokens[:, -1:], position=length - 1, source=tokens, source_segment=segment)


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Rows that end together ``[batch, longest]``, and segments with -1 at padding; None where there is none."""
    longest = max(len(row) for row in rows)
    tokens = torch.tensor([[*[0] * (longest - len(row)), *row] for row in rows], device=device)
    if all(len(row) == longest for row in rows):
        return tokens, None
    segment = [[*[-1] * (longest - len(row)), *[0] * len(row)] for row in rows]
    return tokens, torch.tensor(segment, device=device)

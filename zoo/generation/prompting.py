"""Prompts: encodes a text as model inputs, and decodes generated tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import tokenizers
import torch
from torch import Tensor

from zoo.checks import Refused
from zoo.model.inputs import Inputs
from zoo.model.variants.encoder_decoder import EncoderDecoder
from zoo.model.variants.variant import Variant


@dataclass(frozen=True)
class Prompting:
    """A tokenizer and the template of a prompt.

    Args:
        tokenizer: parses special tokens that are spelled in a prompt.
        ends: tokens that end a text.
        own_rules: whether the tokenizer applies its own post-processor.
        before: tokens before the prompt.
        after: tokens after the prompt.
        start: first tokens of the decoder of an encoder-decoder; None: the last token of the prompt, at its position.
        both_ways: whether a decoder attends to the prompt bidirectionally.
        answers: whether a decoder answers the prompt, rather than continuing it.
        mask: mask token that an encoder fills; None if there is none.
        shown: special tokens that are kept in generated text (sentinels).
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
        """Encodes a prompt and adds the tokens around it.

        Args:
            text: the prompt.
            vocabulary: number of tokens that the model embeds.
        Raises:
            Refused: if there are no tokens, or one that the model does not embed.
        """
        own = self.tokenizer.encode(text, add_special_tokens=self.own_rules).ids
        ids = [*self.before, *own, *self.after]
        if not ids:
            raise Refused("the prompt must not be empty: this tokenizer adds no token before it")
        if max(ids) >= vocabulary:
            raise Refused(f"the tokenizer has token {max(ids)}: the model has vectors for {vocabulary} tokens")
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Decodes tokens; special ones are skipped, except for those in ``shown``."""
        return self.tokenizer.decode([token for token in ids if token not in self._silent], skip_special_tokens=False)

    @cached_property
    def _silent(self) -> frozenset[int]:
        return self.special - self.shown

    @cached_property
    def special(self) -> frozenset[int]:
        """All special tokens of the tokenizer."""
        added = self.tokenizer.get_added_tokens_decoder()
        return frozenset(token for token, about in added.items() if about.special)

    def build_inputs(self, model: Variant, rows: Sequence[Sequence[int]]) -> Inputs:
        """Batches encoded prompts as inputs of a decoder or an encoder-decoder."""
        device = model.embedding.table.weight.device
        tokens, segment = pad_left(rows, device)
        if not isinstance(model, EncoderDecoder):
            seen = torch.full((len(rows),), tokens.shape[1], device=device) if self.both_ways else None
            return Inputs(tokens, segment, prefix=seen)
        if self.start is not None:
            start = torch.tensor([self.start] * len(rows), device=device)
            return Inputs(start, source=tokens, source_segment=segment)
        length = torch.tensor([len(row) for row in rows], device=device)[:, None]
        return Inputs(tokens[:, -1:], position=length - 1, source=tokens, source_segment=segment)


def require_positions(limit: int | None, length: int, what: str = "prompt") -> None:
    """Requires a prompt of ``length`` tokens to fit into the positions of a model; without a limit any does."""
    if limit is not None and length > limit:
        raise Refused(f"the {what} is too long: the model has {limit} positions: got {length} tokens")


def pad_left(rows: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Pads rows on the left to ``[batch, longest]``; segments are -1 at padding, None without padding."""
    longest = max(len(row) for row in rows)
    tokens = torch.tensor([[*[0] * (longest - len(row)), *row] for row in rows], device=device)
    if all(len(row) == longest for row in rows):
        return tokens, None
    segment = [[*[-1] * (longest - len(row)), *[0] * len(row)] for row in rows]
    return tokens, torch.tensor(segment, device=device)

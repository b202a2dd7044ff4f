"""Incremental reading of prompts and generated tokens, with or without caches."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, final

import torch
from torch import Tensor

from zoo.model.inputs import Inputs
from zoo.model.variants.variant import Variant


@final
class PromptReader:
    """Reads prompts, then token after token, and holds the logits of the next token.

    Args:
        model: a decoder or an encoder-decoder, in evaluation mode.
        inputs: prompts ``[batch, length]``, padded on the left where they differ in length.
        room: number of tokens that may follow.
        cached: whether to keep caches; without them, all tokens are read again at each step, with equal results.

    Attributes:
        logits: logits of the next token ``[batch, vocabulary]``.
    """

    def __init__(self, model: Variant, inputs: Inputs, room: int, *, cached: bool = True) -> None:
        source = 0 if inputs.source is None else inputs.source.shape[1]
        self._model, self._inputs = model, _add_positions(inputs)
        self._caches = model.reader.create_caches(inputs.tokens.shape[1] + room, source) if cached else None
        self.logits = self._read()

    def add(self, tokens: Tensor) -> None:
        """Reads one more token ``[batch]`` in each row."""
        before, token = self._inputs, tokens[:, None]
        position = None if before.position is None else before.position[:, -1:] + 1
        segment = None if before.segment is None else before.segment[:, -1:]
        if self._caches is None:
            tokens = torch.cat([before.tokens, token], dim=1)
            position, segment = _append(before.position, position), _append(before.segment, segment)
            self._inputs = replace(before, tokens=tokens, position=position, segment=segment)
        else:
            start = before.start + before.tokens.shape[1]
            self._inputs = Inputs(token, segment, position, before.prefix, start=start)
        self.logits = self._read()

    def select(self, rows: Tensor) -> None:
        """Keeps these rows of the batch, in this order."""
        for cache in self._caches or ():
            cache.select(rows)
        values = {item.name: getattr(self._inputs, item.name) for item in fields(Inputs)}
        chosen: dict[str, Any] = {name: value[rows] for name, value in values.items() if isinstance(value, Tensor)}
        self._inputs, self.logits = replace(self._inputs, **chosen), self.logits[rows]

    @torch.inference_mode()
    def _read(self) -> Tensor:
        return self._model.logits(self._model.compute_hidden(self._inputs, self._caches)[:, -1])


def _add_positions(inputs: Inputs) -> Inputs:
    """Adds positions that do not count padding."""
    rows, position = len(inputs.tokens), inputs.position
    if position is None and inputs.segment is not None:
        position = ((inputs.segment >= 0).long().cumsum(dim=1) - 1).clamp(min=0)
    return replace(inputs, position=None if position is None else position.expand(rows, -1))


def _append(before: Tensor | None, new: Tensor | None) -> Tensor | None:
    return None if before is None or new is None else torch.cat([before, new], dim=1)

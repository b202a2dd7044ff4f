"""A model that reads prompts and then token after token, with caches or without."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, final

import torch
from torch import Tensor

from zoo.model.interfaces import Inputs
from zoo.model.variants.variant import Variant


@final
class Reading:
    """What a decoder or an encoder-decoder says of the next token, after prompts and all that follows them.

    Args:
        model: in evaluation mode.
        inputs: prompts ``[batch, length]``, padded on the left where they differ in length.
        room: how many tokens may follow.
        cached: whether what was read is remembered; else all of it is read again for each token, to the same end.
    """

    def __init__(self, model: Variant, inputs: Inputs, room: int, *, cached: bool = True) -> None:
        source = 0 if inputs.source is None else inputs.source.shape[1]
        self._model, self._inputs = model, _placed(inputs)
        self._caches = model.reader.new_caches(inputs.tokens.shape[1] + room, source) if cached else None
        self.logits = self._read()
        """Of the token that comes next: ``[batch, vocabulary]``."""

    def add(self, tokens: Tensor) -> None:
        """Read one more token in each row: ``[batch]``."""
        before, token = self._inputs, tokens[:, None]
        position = None if before.position is None else before.position[:, -1:] + 1
        segment = None if before.segment is None else before.segment[:, -1:]
        if self._caches is None:
            tokens = torch.cat([before.tokens, token], dim=1)
            position, segment = _longer(before.position, position), _longer(before.segment, segment)
            self._inputs = replace(before, tokens=tokens, position=position, segment=segment)
        else:
            start = before.start + before.tokens.shape[1]
            self._inputs = Inputs(token, segment, position, before.prefix, start=start)
        self.logits = self._read()

    def select(self, rows: Tensor) -> None:
        """Go on with these rows of the batch, in this order."""
        for cache in self._caches or ():
            cache.select(rows)
        values = {item.name: getattr(self._inputs, item.name) for item in fields(Inputs)}
        chosen: dict[str, Any] = {name: value[rows] for name, value in values.items() if isinstance(value, Tensor)}
        self._inputs, self.logits = replace(self._inputs, **chosen), self.logits[rows]

    @torch.no_grad()
    def _read(self) -> Tensor:
        return self._model.logits(self._model.hidden(self._inputs, self._caches)[:, -1])


def _placed(inputs: Inputs) -> Inputs:
    """The same with a position for each token where some are padding, which does not count."""
    rows, position = len(inputs.tokens), inputs.position
    if position is None and inputs.segment is not None:
        position = ((inputs.segment >= 0).long().cumsum(dim=1) - 1).clamp(min=0)
    return replace(inputs, position=None if position is None else position.expand(rows, -1))


def _longer(before: Tensor | None, new: Tensor | None) -> Tensor | None:
    return None if before is None or new is None else torch.cat([before, new], dim=1)

"""Incremental decoding of one row to text that is final."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import final

UNFINISHED = "\ufffd"  # decoders write it for an incomplete UTF-8 sequence


@final
class Transcript:
    """Decodes tokens one by one and returns text as soon as no later token can change it.

    Text is held back while a character is incomplete, and while it may be the beginning of a stop string.

    Args:
        decode: decodes tokens to the text that they add to the prompt.
        ends: tokens that end the text.
        stops: strings that end the text and are not part of it; they need not align with tokens.

    Attributes:
        tokens: tokens so far, without the end token.
        text: text that is final.
        ended: whether the text has ended.
    """

    def __init__(self, decode: Callable[[list[int]], str], ends: Collection[int], stops: Sequence[str]) -> None:
        self._decode, self._ends, self._stops = decode, ends, stops
        self.tokens: list[int] = []
        self.text = ""
        self.ended = False

    def add(self, token: int) -> str:
        """Adds the next token; returns the text that becomes final."""
        if token in self._ends:
            return self.finish()
        self.tokens.append(token)
        return self._publish(self._decode(self.tokens).rstrip(UNFINISHED))

    def finish(self) -> str:
        """Ends the text; returns what was held back."""
        piece = "" if self.ended else self._publish(self._decode(self.tokens), last=True)
        self.ended = True
        return piece

    def _publish(self, text: str, *, last: bool = False) -> str:
        found = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            self.ended, text = True, text[: min(found)]
        elif not last:
            text = text[: len(text) - max((_count_overlap(text, stop) for stop in self._stops), default=0)]
        piece = text[len(self.text) :] if text.startswith(self.text) else ""
        self.text += piece
        return piece


def _count_overlap(text: str, stop: str) -> int:
    """Counts the characters at the end of ``text`` that may be the beginning of ``stop``."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)

"""What one row has written so far: as much of it as is final, until it ends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import final

_UNFINISHED = "\ufffd"  # what decoders write for bytes of UTF-8 whose character is not complete


@final
class Transcript:
    """Takes tokens one by one and gives text as soon as no further token can change it.

    Text is kept back while a character is not complete, and while it may be the beginning of a stop string.

    Args:
        decode: tokens to the text that they add to the prompt.
        ends: tokens that end the text.
        stops: strings that end the text and are no part of it, wherever tokens begin and end.
    """

    def __init__(self, decode: Callable[[list[int]], str], ends: Collection[int], stops: Sequence[str]) -> None:
        self._decode, self._ends, self._stops = decode, ends, stops
        self.tokens: list[int] = []
        self.text = ""
        """What is final."""
        self.ended = False

    def add(self, token: int) -> str:
        """Take the next token; what has become final by it."""
        if token in self._ends:
            return self.finish()
        self.tokens.append(token)
        return self._settle(self._decode(self.tokens).rstrip(_UNFINISHED))

    def finish(self) -> str:
        """There are no more tokens: what was kept back."""
        piece = "" if self.ended else self._settle(self._decode(self.tokens), last=True)
        self.ended = True
        return piece

    def _settle(self, text: str, *, last: bool = False) -> str:
        found = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            self.ended, text = True, text[: min(found)]
        elif not last:
            text = text[: len(text) - max((_overlap(text, stop) for stop in self._stops), default=0)]
        piece = text[len(self.text) :] if text.startswith(self.text) else ""
        self.text += piece
        return piece


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of ``text`` may be the beginning of ``stop``."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)

"""Labels of tokens in whole characters: bytes that form a character together are labeled with it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import tokenizers

from zoo.components.tokenizer.bytes import list_byte_characters
from zoo.generation.transcript import UNFINISHED

_BEFORE = 8  # tokens that are decoded with a token, since decoders drop the space that begins a text
_LONGEST = 16  # tokens of bytes that may form a character or a cluster of characters together
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


@dataclass(frozen=True)
class TokenLabel:
    """A token as text.

    Args:
        id: the token.
        text: the characters that it adds to the text before it. Tokens that are parts of one character all have that
            character; a special token has its name.
        part: number of the token among those that form its characters together, from 1.
        parts: number of these tokens; 1 unless a character has several tokens.
        kind: ``text``, ``special``, or ``bytes`` for bytes that form no character, whose text is hexadecimal.
    """

    id: int
    text: str
    part: int = 1
    parts: int = 1
    kind: str = "text"


class TokenLabeler:
    """Labels tokens by a tokenizer.

    Args:
        tokenizer: decodes tokens.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.get_added_tokens_decoder()
        self._special = {token: about.content for token, about in added.items() if about.special}
        self._bytes = {character: byte for byte, character in enumerate(list_byte_characters())}

    def label_row(self, ids: Sequence[int]) -> list[TokenLabel]:
        """Labels the tokens of a text, in order."""
        labels: list[TokenLabel] = []
        while len(labels) < len(ids):
            labels += self._label_next(ids, len(labels))
        return labels

    def label_candidate(self, token: int, before: Sequence[int]) -> TokenLabel:
        """Labels a token that may follow others; what is not yet a character has its bytes in hexadecimal."""
        if token in self._special:
            return TokenLabel(token, self._special[token], kind="special")
        text = self._decode_after(before[-_BEFORE:], [token])
        if text and UNFINISHED not in text:
            return TokenLabel(token, text)
        return TokenLabel(token, self._spell_bytes(token), kind="bytes")

    def _label_next(self, ids: Sequence[int], start: int) -> list[TokenLabel]:
        """Labels the shortest run of tokens from ``start`` on that ends with a whole character."""
        if ids[start] in self._special:
            return [TokenLabel(ids[start], self._special[ids[start]], kind="special")]
        before = ids[max(0, start - _BEFORE) : start]
        for count in range(1, _LONGEST + 1):
            run = ids[start : start + count]
            if len(run) < count or run[-1] in self._special:
                break
            text = self._decode_after(before, run)
            if text and UNFINISHED not in text:
                return [TokenLabel(token, text, place, count) for place, token in enumerate(run, 1)]
        return [TokenLabel(ids[start], self._spell_bytes(ids[start]), kind="bytes")]

    def _decode_after(self, before: Sequence[int], run: Sequence[int]) -> str:
        """Decodes what ``run`` adds to the text of ``before``."""
        earlier = [token for token in before if token not in self._special]
        prefix = self._decode(earlier).rstrip(UNFINISHED)
        whole = self._decode([*earlier, *run])
        return whole[len(prefix) :] if whole.startswith(prefix) else self._decode(run)

    def _decode(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def _spell_bytes(self, token: int) -> str:
        """Spells the bytes of a token in hexadecimal, or its name in the vocabulary if that is not of bytes."""
        name = self._tokenizer.id_to_token(token) or f"token {token}"
        if found := _BYTE.fullmatch(name):
            return found[1]
        if all(character in self._bytes for character in name):
            return " ".join(f"{self._bytes[character]:02X}" for character in name)
        return name

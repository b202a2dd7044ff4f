"""How much of a text a tokenizer does not give back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import tokenizers

from zoo.data.ragged import Integers


def lost_bytes(text: str, decoded: str) -> int:
    """UTF-8 bytes of characters that one of two texts has and the other has not, whichever of the two lacks more.

    Zero if and only if they are equal. Characters are counted and not aligned, so that it takes one pass: a word read
    as unknown counts with all its characters, a letter that became small with one, an added space with one.
    """
    if text == decoded:
        return 0
    before, after = Counter(text), Counter(decoded)
    missing, added = (
        sum(len(char.encode()) * n for char, n in rest.items()) for rest in (before - after, after - before)
    )
    return max(missing, added) or len(text.encode())  # the same characters in another order


def decode_texts(tokenizer: tokenizers.Tokenizer, rows: Sequence[Integers], unknown: int | None) -> list[str]:
    """Texts of rows of tokens, in which what the tokenizer does not know leaves no trace."""
    known = [row[row != unknown] if unknown is not None else row for row in rows]
    return list(tokenizer.decode_batch([row.tolist() for row in known], skip_special_tokens=True))

"""Measures how much of a text is lost when its tokens are decoded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import tokenizers

from zoo.data.ragged import Integers


def count_lost_bytes(text: str, decoded: str) -> int:
    """Counts the UTF-8 bytes that are missing from or added to a decoded text, whichever is more.

    Zero if and only if the texts are equal. Characters are counted rather than aligned, which takes one pass: an
    unknown word counts with all its characters, a lower-cased letter or an added space as one.
    """
    if text == decoded:
        return 0
    before, after = Counter(text), Counter(decoded)
    missing, added = (
        sum(len(char.encode()) * n for char, n in rest.items()) for rest in (before - after, after - before)
    )
    return max(missing, added) or len(text.encode())  # the same characters in another order


def decode_texts(tokenizer: tokenizers.Tokenizer, rows: Sequence[Integers], unknown: int | None) -> list[str]:
    """Decodes rows of tokens to texts, without special and unknown tokens."""
    known = [row[row != unknown] if unknown is not None else row for row in rows]
    return list(tokenizer.decode_batch([row.tolist() for row in known], skip_special_tokens=True))

"""Operations of chunkwise parallel recurrences: pairs within chunks, and states written and read."""

from __future__ import annotations


def count_pairs_within_chunks(length: int, size: int) -> int:
    """Counts pairs of a query and a key at or before it in the same chunk of ``size`` tokens, for one row."""
    chunks, rest = divmod(length, size)
    return chunks * size * (size + 1) // 2 + rest * (rest + 1) // 2


def count_tokens_after_first_chunk(length: int, size: int) -> int:
    """Counts the tokens after the first chunk of a row, which read a state."""
    return max(0, length - size)


def count_tokens_before_last_chunk(length: int, size: int) -> int:
    """Counts the tokens before the last chunk of a row, which write to a state that is read."""
    return (length - 1) // size * size


def count_recurrence_flops(length: int, size: int, groups: int, heads: int, key_width: int, value_width: int) -> int:
    """Counts the operations of ``compute_recurrence`` for one row."""
    states = count_tokens_after_first_chunk(length, size) + count_tokens_before_last_chunk(length, size)
    pairs = 2 * count_pairs_within_chunks(length, size) * (groups * key_width + heads * value_width)
    return pairs + 2 * heads * key_width * value_width * states

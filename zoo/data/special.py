"""The special tokens that every tokenizer has, and what keeps data from writing them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Special:
    """How the special tokens are spelled.

    Attributes:
        pad: fills rows up; never predicted.
        bos: begins a document.
        eos: ends a document or a target.
        mask: stands for a hidden token.
        sep: stands between two parts of one row.
        unk: stands for what the vocabulary cannot spell.
        sentinels: stand for hidden spans, in order (Raffel et al. 2020).
    """

    pad: str
    bos: str
    eos: str
    mask: str
    sep: str
    unk: str
    sentinels: tuple[str, ...]

    def spellings(self) -> list[str]:
        """All of them, in the order of their ids where the tokenizer is ours; one that has two roles comes once."""
        ordered = (self.pad, self.bos, self.eos, self.mask, self.sep, self.unk, *self.sentinels)
        return list(dict.fromkeys(ordered))


OURS = Special("<pad>", "<bos>", "<eos>", "<mask>", "<sep>", "<unk>", tuple(f"<extra_{i}>" for i in range(32)))


def protect(tokenizer: Tokenizer) -> Tokenizer:
    """Make ``tokenizer`` read the spelling of a special token in a text as plain characters.

    Must follow every load: the setting is not part of ``tokenizer.json``.
    """
    tokenizer.encode_special_tokens = True
    return tokenizer

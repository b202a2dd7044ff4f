"""Special tokens: which ones an objective needs, how they are spelled, and protection against them in texts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NO_TOKEN = -1
"""Id of a special token that a vocabulary does not have."""
ROLES = ("pad", "bos", "eos", "mask", "sep", "unk", "decoder_start")
"""Roles of special tokens, apart from sentinels."""
_SENTINEL = "<extra_{}>"


@dataclass(frozen=True)
class Required:
    """Special tokens that an objective uses in addition to pad, bos and eos, which every vocabulary has.

    Attributes:
        mask: whether the objective masks tokens.
        sep: whether it separates two parts of one row.
        sentinels: maximum number of spans of a document that it masks.
    """

    mask: bool = False
    sep: bool = False
    sentinels: int = 0


COMMON = Required()


@dataclass(frozen=True)
class SpecialTokens:
    """Spellings of the special tokens; a vocabulary need not have all of them.

    Attributes:
        pad: pads rows; never predicted.
        bos: begins a document.
        eos: ends a document or a target.
        mask: replaces a masked token.
        sep: separates two parts of one row.
        unk: replaces text that the vocabulary cannot represent.
        sentinels: replace masked spans, in order (Raffel et al. 2020).
        decoder_start: begins the input of the decoder of an encoder-decoder, as ``</s>`` of BART; empty for ``bos``.
    """

    pad: str
    bos: str
    eos: str
    mask: str
    sep: str
    unk: str
    sentinels: tuple[str, ...] = ()
    decoder_start: str = ""

    def restrict(self, known: set[str]) -> SpecialTokens:
        """Returns a copy with empty spellings for unknown tokens, and with the known ones of our sentinels."""
        absent = {role: "" for role in ROLES if getattr(self, role) not in known}
        sentinels = tuple(each for each in spell_sentinels(len(known)) if each in known)
        return replace(self, sentinels=sentinels, **absent)

    def list_required(self, required: Required, *, unknown: bool = False) -> list[str]:
        """Lists the spellings that a vocabulary must have, in the order of their ids in our own tokenizers.

        Args:
            required: the special tokens of the objective.
            unknown: whether the tokenizer has an unknown token.
        """
        optional = {self.mask: required.mask, self.sep: required.sep, self.unk: unknown}
        chosen = [self.pad, self.bos, self.eos, *(spelling for spelling, wanted in optional.items() if wanted)]
        sentinels = self.sentinels or spell_sentinels(required.sentinels)
        return list(dict.fromkeys([*chosen, *(sentinels if required.sentinels else ())]))


def spell_sentinels(count: int) -> tuple[str, ...]:
    """Returns our spellings of the first ``count`` sentinels."""
    return tuple(_SENTINEL.format(number) for number in range(count))


OURS = SpecialTokens("<pad>", "<bos>", "<eos>", "<mask>", "<sep>", "<unk>")
"""Spellings in our own tokenizers."""


def protect_special_tokens(tokenizer: Tokenizer) -> Tokenizer:
    """Makes ``tokenizer`` read the spelling of a special token in a text as plain characters.

    Must be called after every load, since ``tokenizer.json`` does not store the setting.
    """
    tokenizer.encode_special_tokens = True
    return tokenizer


def get_added_special_tokens(tokenizer: Tokenizer) -> set[str]:
    """Returns the spellings of the added special tokens, leaving out ordinary tokens that look like one."""
    return {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}

"""Special tokens: which of them a training needs, how they are spelled, and what keeps data from writing them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NOWHERE = -1
"""The id of a special token that a vocabulary does not have."""
_SENTINEL = "<extra_{}>"


@dataclass(frozen=True)
class Required:
    """Special tokens that an objective puts into its rows beside pad, bos and eos, which every vocabulary has.

    Attributes:
        mask: whether tokens are hidden.
        sep: whether two parts of one row are told apart.
        sentinels: how many spans of a document are hidden at most.
    """

    mask: bool = False
    sep: bool = False
    sentinels: int = 0


COMMON = Required()


@dataclass(frozen=True)
class Special:
    """How the special tokens are spelled; a vocabulary need not have all of them.

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
    sentinels: tuple[str, ...] = ()

    def among(self, known: set[str]) -> Special:
        """The same with empty spellings for what is not ``known``, and our sentinels that are."""
        roles = ("pad", "bos", "eos", "mask", "sep", "unk")
        absent = {role: "" for role in roles if getattr(self, role) not in known}
        sentinels = tuple(each for each in sentinel_spellings(len(known)) if each in known)
        return replace(self, sentinels=sentinels, **absent)

    def spellings(self, required: Required, *, unknown: bool = False) -> list[str]:
        """Those that a vocabulary must have, in the order of their ids where the tokenizer is ours.

        Args:
            required: what the objective needs.
            unknown: whether the tokenizer has a token for what it cannot spell.
        """
        optional = {self.mask: required.mask, self.sep: required.sep, self.unk: unknown}
        chosen = [self.pad, self.bos, self.eos, *(spelling for spelling, wanted in optional.items() if wanted)]
        sentinels = self.sentinels or sentinel_spellings(required.sentinels)
        return list(dict.fromkeys([*chosen, *(sentinels if required.sentinels else ())]))


def sentinel_spellings(count: int) -> tuple[str, ...]:
    """Ours of the first ``count`` sentinels."""
    return tuple(_SENTINEL.format(number) for number in range(count))


OURS = Special("<pad>", "<bos>", "<eos>", "<mask>", "<sep>", "<unk>")


def protect(tokenizer: Tokenizer) -> Tokenizer:
    """Make ``tokenizer`` read the spelling of a special token in a text as plain characters.

    Must follow every load: the setting is not part of ``tokenizer.json``.
    """
    tokenizer.encode_special_tokens = True
    return tokenizer


def added_tokens(tokenizer: Tokenizer) -> set[str]:
    """The spellings of special tokens that were added, which an ordinary token of the same spelling is not."""
    return {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}

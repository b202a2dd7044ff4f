"""What data and tokenizers promise; imports no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from zoo.data.special import COMMON, NOWHERE, OURS, Required, Special, added_tokens

if TYPE_CHECKING:
    import tokenizers

Split = Literal["train", "validation"]
TextMetric = Literal["chrf", "bleu_13a", "bleu_intl", "bleu_zh", "bleu_char"]
"""How written texts are scored: chrF of characters, or BLEU of words as a tokenizer of sacreBLEU divides them."""


class Documents(ABC):
    """Texts to be continued or completed."""

    form: ClassVar[str] = "documents"

    @abstractmethod
    def identity(self) -> str:
        """One line that changes whenever the texts may have changed; cheap, part of the cache's key."""

    @abstractmethod
    def documents(self, split: Split) -> Iterator[str]:
        """The texts of a split, in an order that depends on nothing but ``identity``."""


class Pairs(ABC):
    """Texts to be turned into other texts."""

    form: ClassVar[str] = "pairs"

    @abstractmethod
    def identity(self) -> str:
        """One line that changes whenever the texts may have changed; cheap, part of the cache's key."""

    @abstractmethod
    def pairs(self, split: Split) -> Iterator[tuple[str, str]]:
        """Source and target of every pair of a split, in an order that depends on nothing but ``identity``."""

    def bits(self) -> float | None:
        """Of all targets of the validation split, where only memory can tell them; None where they can be found out."""
        return None

    def text_metric(self) -> TextMetric:
        """How texts that a model writes are scored: chrF, unless targets are sentences of words that BLEU can count."""
        return "chrf"


class Tokenizer(ABC):
    """Turns texts into tokens."""

    @abstractmethod
    def identity(self) -> str:
        """One line that changes whenever ``build`` may give another result for the same texts."""

    @abstractmethod
    def build(self, texts: Iterable[str], required: Required = COMMON) -> tokenizers.Tokenizer:
        """The tokenizer with pad, bos, eos and the special tokens ``required``, trained on ``texts`` if it learns."""

    def special(self, built: tokenizers.Tokenizer) -> Special:
        """How the special tokens of ``built`` are spelled; empty for those that it does not have."""
        return OURS.among(added_tokens(built))


@dataclass(frozen=True)
class Vocabulary:
    """How many tokens there are, and the ids of the special ones: ``NOWHERE`` for what it does not have."""

    size: int
    pad: int
    bos: int
    eos: int
    mask: int = NOWHERE
    sep: int = NOWHERE
    unk: int = NOWHERE
    sentinels: tuple[int, ...] = ()

    @classmethod
    def of(cls, built: tokenizers.Tokenizer, special: Special) -> Vocabulary:
        """Look the special tokens up; ``size`` is one more than the largest id, holes included."""
        ids = built.get_vocab(with_added_tokens=True)
        return cls(
            size=max(ids.values()) + 1,
            pad=ids[special.pad],
            bos=ids[special.bos],
            eos=ids[special.eos],
            mask=ids.get(special.mask, NOWHERE),
            sep=ids.get(special.sep, NOWHERE),
            unk=ids.get(special.unk, NOWHERE),
            sentinels=tuple(ids[sentinel] for sentinel in special.sentinels if sentinel in ids),
        )

    def unwritable(self) -> list[int]:
        """The ids that no text may be encoded to: all special ones but ``unk``."""
        special = {self.pad, self.bos, self.eos, self.mask, self.sep, *self.sentinels}
        return sorted(special - {self.unk, NOWHERE})

"""Abstract classes of data sets and tokenizers; imports no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from zoo.data.special_tokens import COMMON, NO_TOKEN, OURS, Required, SpecialTokens, get_added_special_tokens

if TYPE_CHECKING:
    import tokenizers

Split = Literal["train", "validation"]
TextMetric = Literal["chrf", "bleu_13a", "bleu_intl", "bleu_zh", "bleu_char"]
"""Metric for generated texts: chrF of characters, or BLEU of words as split by one of sacreBLEU's tokenizers."""


class Documents(ABC):
    """A data set of texts to continue or complete."""

    form: ClassVar[str] = "documents"

    @abstractmethod
    def identity(self) -> str:
        """Returns a line that changes whenever the texts may have changed; part of the cache key, so cheap."""

    @abstractmethod
    def documents(self, split: Split) -> Iterator[str]:
        """Iterates over the texts of a split, in an order that depends only on ``identity``."""


class Pairs(ABC):
    """A data set of source texts to turn into target texts."""

    form: ClassVar[str] = "pairs"

    @abstractmethod
    def identity(self) -> str:
        """Returns a line that changes whenever the texts may have changed; part of the cache key, so cheap."""

    @abstractmethod
    def pairs(self, split: Split) -> Iterator[tuple[str, str]]:
        """Iterates over the sources and targets of a split, in an order that depends only on ``identity``."""

    def compute_target_bits(self) -> float | None:
        """Returns the entropy of all validation targets in bits if they can only be memorized, else None."""
        return None

    def choose_text_metric(self) -> TextMetric:
        """Returns the metric for generated texts: chrF by default, BLEU where targets are sentences of words."""
        return "chrf"


class Tokenizer(ABC):
    """Builds a tokenizer, training it if it learns from texts."""

    @abstractmethod
    def identity(self) -> str:
        """Returns a line that changes whenever ``build`` may give another result for the same texts."""

    @abstractmethod
    def build(self, texts: Iterable[str], required: Required = COMMON) -> tokenizers.Tokenizer:
        """Builds the tokenizer with pad, bos, eos and the special tokens in ``required``.

        Args:
            texts: the training texts; ignored by tokenizers that do not learn.
            required: the special tokens that the objective needs.
        """

    def spell_special_tokens(self, built: tokenizers.Tokenizer) -> SpecialTokens:
        """Returns the spellings of the special tokens of ``built``; empty for those that it does not have."""
        return OURS.restrict(get_added_special_tokens(built))


@dataclass(frozen=True)
class Vocabulary:
    """Number of tokens and ids of the special tokens; ``NO_TOKEN`` for those that the vocabulary does not have.

    ``decoder_start`` defaults to ``bos``.
    """

    size: int
    pad: int
    bos: int
    eos: int
    mask: int = NO_TOKEN
    sep: int = NO_TOKEN
    unk: int = NO_TOKEN
    sentinels: tuple[int, ...] = ()
    decoder_start: int = NO_TOKEN

    def __post_init__(self) -> None:
        if self.decoder_start == NO_TOKEN:
            object.__setattr__(self, "decoder_start", self.bos)

    @classmethod
    def from_tokenizer(cls, built: tokenizers.Tokenizer, special: SpecialTokens) -> Vocabulary:
        """Looks up the ids of the special tokens; ``size`` is the largest id plus one, even if ids are unused."""
        ids = built.get_vocab(with_added_tokens=True)
        return cls(
            size=max(ids.values()) + 1,
            pad=ids[special.pad],
            bos=ids[special.bos],
            eos=ids[special.eos],
            mask=ids.get(special.mask, NO_TOKEN),
            sep=ids.get(special.sep, NO_TOKEN),
            unk=ids.get(special.unk, NO_TOKEN),
            sentinels=tuple(ids[sentinel] for sentinel in special.sentinels if sentinel in ids),
            decoder_start=ids.get(special.decoder_start, NO_TOKEN),
        )

    @property
    def reserved_ids(self) -> list[int]:
        """Sorted ids that no text may be encoded to: all special tokens except ``unk``."""
        special = {self.pad, self.bos, self.eos, self.mask, self.sep, *self.sentinels, self.decoder_start}
        return sorted(special - {self.unk, NO_TOKEN})

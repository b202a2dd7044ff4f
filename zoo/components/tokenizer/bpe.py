"""Byte-pair encoding."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import final

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers

from zoo.checks import Refused
from zoo.data.interfaces import Tokenizer
from zoo.data.special_tokens import COMMON, OURS, Required
from zoo.registry import register

_BYTES = 256
# A pair seen once saves nothing elsewhere.
_SEEN_AT_LEAST = 2


@final
@register("tokenizer", "bpe", paper="arXiv:1508.07909")
class BytePairs(Tokenizer):
    """Byte-level byte-pair encoding, trained on the training split: every text comes back as it was.

    Words are told apart as in GPT-2. The vocabulary comes out smaller than asked for if the texts have fewer pairs
    that occur twice, which is logged; the prepared data tell its true size.

    Args:
        vocabulary: tokens that texts are made of: 256 bytes, the rest merges. The special tokens that an objective
            needs come on top, so that texts become the same tokens whatever the objective.

    Raises:
        Refused: if ``vocabulary`` has no room for the bytes.

    Source: Sennrich et al. 2016; on bytes: Radford et al. 2019.
    """

    def __init__(self, *, vocabulary: int = 2048) -> None:
        if vocabulary < _BYTES:
            raise Refused(f"vocabulary must be at least {_BYTES}, the bytes: got vocabulary={vocabulary}")
        self.vocabulary = vocabulary

    def identity(self) -> str:
        """The options."""
        return f"bpe vocabulary={self.vocabulary}"

    def build(self, texts: Iterable[str], required: Required = COMMON) -> tokenizers.Tokenizer:
        """The special tokens, then the bytes, then what was merged, most frequent first."""
        built = tokenizers.Tokenizer(models.BPE())
        built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        built.decoder = decoders.ByteLevel()
        special = OURS.list_required(required)
        built.train_from_iterator(texts, self._trainer(special))
        if (given := built.get_vocab_size() - len(special)) < self.vocabulary:
            message = "bpe: the texts gave %d tokens, vocabulary=%d was asked for"
            logging.getLogger("zoo").info(message, given, self.vocabulary)
        return built

    def _trainer(self, special: Sequence[str]) -> trainers.BpeTrainer:
        return trainers.BpeTrainer(
            vocab_size=len(special) + self.vocabulary,
            min_frequency=_SEEN_AT_LEAST,
            special_tokens=[AddedToken(spelling, special=True) for spelling in special],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )

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
# Merging a pair that occurs once shortens nothing else.
_MIN_FREQUENCY = 2


@final
@register("tokenizer", "bpe", paper="arXiv:1508.07909")
class BytePairs(Tokenizer):
    """Byte-level byte-pair encoding, trained on the training split and lossless for any text.

    Texts are split into words with the pattern of GPT-2. The vocabulary is smaller than requested if too few pairs
    occur at least twice in the texts; this is logged, and the prepared data record the actual size.

    Args:
        vocabulary: number of tokens for text: 256 bytes and the merges. The special tokens that an objective needs are
            added to these, so that a text is encoded to the same tokens for every objective.

    Raises:
        Refused: if ``vocabulary`` is less than 256.

    Source: Sennrich et al. 2016; applied to bytes: Radford et al. 2019.
    """

    def __init__(self, *, vocabulary: int = 2048) -> None:
        if vocabulary < _BYTES:
            raise Refused(f"vocabulary must be at least {_BYTES}, one token per byte: got vocabulary={vocabulary}")
        self.vocabulary = vocabulary

    def identity(self) -> str:
        """Returns the name and the options."""
        return f"bpe vocabulary={self.vocabulary}"

    def build(self, texts: Iterable[str], required: Required = COMMON) -> tokenizers.Tokenizer:
        """Trains on ``texts``; ids are assigned to special tokens, then to bytes, then to merges in training order."""
        built = tokenizers.Tokenizer(models.BPE())
        built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        built.decoder = decoders.ByteLevel()
        special = OURS.list_required(required)
        built.train_from_iterator(texts, self._build_trainer(special))
        if (size := built.get_vocab_size() - len(special)) < self.vocabulary:
            message = "bpe: the texts have too few pairs: %d tokens were trained for vocabulary=%d"
            logging.getLogger("zoo").info(message, size, self.vocabulary)
        return built

    def _build_trainer(self, special: Sequence[str]) -> trainers.BpeTrainer:
        return trainers.BpeTrainer(
            vocab_size=len(special) + self.vocabulary,
            min_frequency=_MIN_FREQUENCY,
            special_tokens=[AddedToken(spelling, special=True) for spelling in special],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )

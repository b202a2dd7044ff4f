"""Byte-level tokenization without merges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers

from zoo.data.interfaces import Tokenizer
from zoo.data.special_tokens import COMMON, OURS, Required
from zoo.registry import register


@final
@register("tokenizer", "bytes", paper="arXiv:2105.13626")
class Bytes(Tokenizer):
    """UTF-8 bytes as tokens; needs no training, and is lossless for any text.

    Source: Xue et al. 2022 (ByT5).
    """

    def identity(self) -> str:
        """Returns the name, since there are no options."""
        return "bytes"

    def build(self, texts: Iterable[str], required: Required = COMMON) -> tokenizers.Tokenizer:
        """Assigns ids to the special tokens, then id ``len(special) + b`` to byte ``b``; ``texts`` is not read."""
        special = OURS.list_required(required)
        spellings = [*special, *list_byte_characters()]
        # A byte-pair encoding without merges: each character is a token.
        model = models.BPE(vocab={spelling: i for i, spelling in enumerate(spellings)}, merges=[])
        built = tokenizers.Tokenizer(model)
        built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        built.decoder = decoders.ByteLevel()
        built.add_special_tokens([AddedToken(spelling, special=True) for spelling in special])
        return built


def list_byte_characters() -> list[str]:
    """Returns the printable character that represents each byte in byte-level tokenizers, as in GPT-2."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte if byte in printable else next(others)) for byte in range(256)]

"""Character-level tokenization."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import tokenizers
from tokenizers import AddedToken, decoders, models

from zoo.data.interfaces import Tokenizer
from zoo.data.special_tokens import COMMON, OURS, Required
from zoo.registry import register


@final
@register("tokenizer", "characters")
class Characters(Tokenizer):
    """Characters of the training split as tokens; any other character becomes <unk> and cannot be recovered."""

    def identity(self) -> str:
        """Returns the name, since there are no options."""
        return "characters"

    def build(self, texts: Iterable[str], required: Required = COMMON) -> tokenizers.Tokenizer:
        """Assigns ids to the special tokens, then to the characters of ``texts`` in Unicode order."""
        characters = sorted({character for text in texts for character in set(text)})
        special = OURS.list_required(required, unknown=True)
        spellings = [*special, *characters]
        # A byte-pair encoding without merges: each character is a token.
        model = models.BPE(vocab={spelling: i for i, spelling in enumerate(spellings)}, merges=[], unk_token=OURS.unk)
        built = tokenizers.Tokenizer(model)
        built.decoder = decoders.Fuse()
        built.add_special_tokens([AddedToken(spelling, special=True) for spelling in special])
        return built

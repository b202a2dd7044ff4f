"""Pretrained tokenizer, read from a file."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Set
from typing import final

import tokenizers
from tokenizers import AddedToken

from zoo.checks import Refused, suggest
from zoo.data.interfaces import Tokenizer
from zoo.data.special_tokens import COMMON, OURS, Required, SpecialTokens
from zoo.data.text_files import require_file
from zoo.data.tokenizer_files import get_special_tokens, read_tokenizer
from zoo.registry import register

# Spellings of the special tokens in published tokenizers; the first one in the vocabulary is used.
_COMMON_SPELLINGS = {
    "pad": (OURS.pad, "[PAD]", "<|pad|>", "<|padding|>", "<|finetune_right_pad_id|>", "<｜▁pad▁｜>"),
    "bos": (
        OURS.bos,
        "<s>",
        "[CLS]",
        "<|begin_of_text|>",
        "<|startoftext|>",
        "<｜begin▁of▁sentence｜>",
        "<|endoftext|>",
    ),
    "eos": (OURS.eos, "</s>", "<|end_of_text|>", "<|endoftext|>", "<｜end▁of▁sentence｜>", "[SEP]"),
    "mask": (OURS.mask, "[MASK]", "<|mask|>"),
    "sep": (OURS.sep, "[SEP]", "<|sep|>"),
    "unk": (OURS.unk, "[UNK]", "<|unk|>"),
    "decoder_start": (OURS.decoder_start,),
}


@final
@register("tokenizer", "file")
class TokenizerFile(Tokenizer):
    """Pretrained tokenizer from a ``tokenizer.json`` of Hugging Face Tokenizers.

    Special tokens that the objective needs and the file lacks are added after its own. Truncation, padding and
    templates of special tokens in the file are disabled, because rows are packed here.

    Args:
        path: path of the file: a ``tokenizer.json``, the ``vocab.txt`` of a BERT, or the ``vocab.json`` of a GPT-2,
            RoBERTa or BART with ``merges.txt`` beside it.
        pad: padding token; null for the first common spelling in the vocabulary, otherwise <pad>.
        bos: beginning-of-document token; null as for ``pad``, otherwise <bos>.
        eos: end-of-document token; null as for ``pad``, otherwise <eos>.
        mask: mask token; null as for ``pad``, otherwise <mask>.
        sep: separator token; null as for ``pad``, otherwise <sep>.
        unk: token for unknown text; null as for ``pad``, otherwise <unk>.
        decoder_start: first token of the decoder of an encoder-decoder; null for that of ``bos``.

    Raises:
        Refused: if the file does not exist or is not a tokenizer, or if it lacks a token that an option names.
    """

    def __init__(
        self,
        *,
        path: str,
        pad: str | None = None,
        bos: str | None = None,
        eos: str | None = None,
        mask: str | None = None,
        sep: str | None = None,
        unk: str | None = None,
        decoder_start: str | None = None,
    ) -> None:
        self.path = path
        self.spellings = {"pad": pad, "bos": bos, "eos": eos, "mask": mask, "sep": sep, "unk": unk}
        self.spellings["decoder_start"] = decoder_start

    def identity(self) -> str:
        """Returns the options and a hash of the tokenizer, which does not depend on the format of its files."""
        digest = hashlib.sha256(self._load().to_str().encode()).hexdigest()
        given = " ".join(f"{role}={spelling}" for role, spelling in self.spellings.items())
        return f"file {given} sha256={digest}"

    def build(self, texts: Iterable[str], required: Required = COMMON) -> tokenizers.Tokenizer:
        """Loads the tokenizer and adds the special tokens of ``required`` that it lacks; ``texts`` is not read."""
        built = self._load()
        built.no_truncation()
        built.no_padding()
        spellings = self.spell_special_tokens(built).list_required(required)
        built.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in spellings])
        return built

    def spell_special_tokens(self, built: tokenizers.Tokenizer) -> SpecialTokens:
        """Returns the spellings of the special tokens in the file, or our own for those that ``built`` may lack."""
        ids, marked = built.get_vocab(with_added_tokens=True), get_special_tokens(built)
        return SpecialTokens(
            pad=self._choose_spelling("pad", ids, marked),
            bos=self._choose_spelling("bos", ids, marked),
            eos=self._choose_spelling("eos", ids, marked),
            mask=self._choose_spelling("mask", ids, marked),
            sep=self._choose_spelling("sep", ids, marked),
            unk=self._choose_spelling("unk", ids, marked),
            sentinels=_find_sentinels(ids),
            decoder_start=self._choose_spelling("decoder_start", ids, marked),
        )

    def _choose_spelling(self, role: str, ids: Mapping[str, int], marked: Set[str]) -> str:
        given, common = self.spellings[role], _COMMON_SPELLINGS[role]
        if given is None:
            return next((spelling for spelling in common if spelling in marked), common[0])
        if given not in ids:
            known = [spelling for spellings in _COMMON_SPELLINGS.values() for spelling in spellings if spelling in ids]
            raise Refused(f"tokenizer file: {self.path} has no token for {role}={given}: {suggest(given, set(known))}")
        return given

    def _load(self) -> tokenizers.Tokenizer:
        return read_tokenizer(require_file("tokenizer file", self.path))


def _find_sentinels(ids: Mapping[str, int]) -> tuple[str, ...]:
    """Finds our sentinels in the vocabulary, or else those of T5; empty if it has neither."""
    for spelling in ("<extra_{}>", "<extra_id_{}>"):
        found = tuple(itertools.takewhile(ids.__contains__, map(spelling.format, itertools.count())))
        if found:
            return found
    return ()

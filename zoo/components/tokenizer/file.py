"""A tokenizer that somebody else trained."""

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

# How published tokenizers spell each role; the first that is in the vocabulary counts.
_COMMON = {
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
}


@final
@register("tokenizer", "file")
class TokenizerFile(Tokenizer):
    """A ``tokenizer.json`` of Hugging Face tokenizers, used as it is.

    Special tokens that it lacks and the objective needs are added behind its own. Rules of the file that cut texts
    short, pad them or put special tokens around them are switched off: rows are packed here.

    Args:
        path: the file; in place of a ``tokenizer.json`` it may be the ``vocab.txt`` of a BERT, or the ``vocab.json`` of
            a GPT-2, RoBERTa or BART with ``merges.txt`` beside it.
        pad: spelling of the token that fills rows up; unset: the first common one that the file has, else <pad>.
        bos: the same for the begin of a document; else <bos>.
        eos: the same for its end; else <eos>.
        mask: the same for a hidden token; else <mask>.
        sep: the same for the separator; else <sep>.
        unk: the same for the unknown; else <unk>.

    Raises:
        Refused: if there is no such file, it is no tokenizer, or it has no token of a spelling that was given.
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
    ) -> None:
        self.path = path
        self.spellings = {"pad": pad, "bos": bos, "eos": eos, "mask": mask, "sep": sep, "unk": unk}

    def identity(self) -> str:
        """The options, and a hash of the tokenizer, whatever files it is made of."""
        digest = hashlib.sha256(self._load().to_str().encode()).hexdigest()
        given = " ".join(f"{role}={spelling}" for role, spelling in self.spellings.items())
        return f"file {given} sha256={digest}"

    def build(self, texts: Iterable[str], required: Required = COMMON) -> tokenizers.Tokenizer:
        """The tokenizer of the file with the special tokens ``required`` that it lacks; ``texts`` is not read."""
        built = self._load()
        built.no_truncation()
        built.no_padding()
        spellings = self.spell_special_tokens(built).list_required(required)
        built.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in spellings])
        return built

    def spell_special_tokens(self, built: tokenizers.Tokenizer) -> SpecialTokens:
        """How the file, or else we, spell the special tokens; ``built`` need not have what we spell."""
        ids, marked = built.get_vocab(with_added_tokens=True), get_special_tokens(built)
        return SpecialTokens(
            pad=self._spelling("pad", ids, marked),
            bos=self._spelling("bos", ids, marked),
            eos=self._spelling("eos", ids, marked),
            mask=self._spelling("mask", ids, marked),
            sep=self._spelling("sep", ids, marked),
            unk=self._spelling("unk", ids, marked),
            sentinels=_sentinels(ids),
        )

    def _spelling(self, role: str, ids: Mapping[str, int], marked: Set[str]) -> str:
        given, common = self.spellings[role], _COMMON[role]
        if given is None:
            return next((spelling for spelling in common if spelling in marked), common[0])
        if given not in ids:
            known = [spelling for spellings in _COMMON.values() for spelling in spellings if spelling in ids]
            raise Refused(f"tokenizer file: {self.path} has no token for {role}={given}: {suggest(given, set(known))}")
        return given

    def _load(self) -> tokenizers.Tokenizer:
        return read_tokenizer(require_file("tokenizer file", self.path))


def _sentinels(ids: Mapping[str, int]) -> tuple[str, ...]:
    """Ours if the file has them, else T5's own; none if it has neither."""
    for spelling in ("<extra_{}>", "<extra_id_{}>"):
        named = tuple(itertools.takewhile(ids.__contains__, map(spelling.format, itertools.count())))
        if named:
            return named
    return ()

"""Checks of data sources and tokenizers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required, protect_special_tokens
from zoo.testing.kit import check, fail_unless
from zoo.testing.subject import Subject, build_component

TEXTS = [
    "the cat sat on the mat",
    "a fluffy blue creature roamed the forest",
    "她每天吃一个苹果",
    "f(x) = 2 * x + 1\n",
    "<mask> <pad>",
] * 4
SOME = 20


def read_first(made: Any, split: str) -> list[Any]:
    """Reads the first texts or pairs of a split."""
    read: Callable[[str], Iterator[Any]] = made.documents if made.form == "documents" else made.pairs
    return list(islice(read(split), SOME))


@check("data", "documents or pairs: their order must depend on identity() only")
def check_texts_are_deterministic(subject: Subject) -> None:
    """Identity and texts of a split are equal when they are read again, and no split is empty."""
    made, again = build_component(subject), build_component(subject)
    fail_unless(made.identity() == again.identity(), "equal identities", "different ones")
    for split in ("train", "validation"):
        texts = read_first(made, split)
        fail_unless(bool(texts), f"texts in {split}", "none")
        fail_unless(
            texts == read_first(made, split) == read_first(again, split),
            f"equal texts in {split} when read again",
            "different ones",
        )


@check("data", "how texts are divided into train and validation", after=("texts_are_deterministic",))
def check_splits_differ(subject: Subject) -> None:
    """The splits do not start with the same texts."""
    made = build_component(subject)
    held_out = read_first(made, "validation")
    same = [text for text in read_first(made, "train") if text in held_out]
    fail_unless(len(same) < SOME // 2, "different texts in validation", f"{len(same)} of {SOME} that are in train")


@check("tokenizer", "build: pre-tokenizer and decoder")
def check_decoding_restores_texts(subject: Subject) -> None:
    """Texts on which the tokenizer was trained are restored by decoding their tokens."""
    built = protect_special_tokens(build_component(subject).build(TEXTS))
    for text in TEXTS[:5]:
        back = built.decode(built.encode(text, add_special_tokens=False).ids, skip_special_tokens=False)
        fail_unless(back == text, repr(text), repr(back))


@check("tokenizer", "special and build")
def check_texts_contain_no_special_tokens(subject: Subject) -> None:
    """All required special tokens exist, and no text is encoded to one of them."""
    made = build_component(subject)
    built = protect_special_tokens(made.build(TEXTS, Required(mask=True, sep=True, sentinels=3)))
    vocabulary = Vocabulary.from_tokenizer(built, made.spell_special_tokens(built))
    special = set(vocabulary.reserved_ids)
    fail_unless(len(special) == 8, "pad, bos, eos, mask, sep and three sentinels", f"ids {sorted(special)}")
    used = {token for text in TEXTS for token in built.encode(text, add_special_tokens=False).ids}
    fail_unless(not used & special, "no special token in a text", f"ids {sorted(used & special)}")

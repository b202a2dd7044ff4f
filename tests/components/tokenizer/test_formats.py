"""Vocabulary files that came before tokenizer.json, against the tokenizers that transformers makes of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import BertTokenizer, GPT2Tokenizer, RobertaTokenizer

from zoo.checks import Refused
from zoo.components.tokenizer.file import TokenizerFile
from zoo.data.tokenizer_files import find_tokenizer, read_tokenizer

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "The",
    "cafe",
    "café",
    "苹",
    "果",
    "un",
    "##aff",
    "##able",
    "!",
]
TEXTS = ["The café is unaffable!", "苹果 the [MASK]", " the\tun unaff\n", "", "ÀÉ the"]


def write_wordpiece(folder: Path, **config: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf8")
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    "config",
    [{}, {"do_lower_case": False}, {"do_lower_case": True, "strip_accents": False}, {"tokenize_chinese_chars": False}],
    ids=str,
)
def test_a_vocab_txt_is_the_wordpiece_tokenizer_that_transformers_makes_of_it(
    config: dict[str, object], tmp_path: Path
) -> None:
    folder = write_wordpiece(tmp_path / "bert", **config)
    theirs, file = BertTokenizer.from_pretrained(folder), find_tokenizer(folder)
    assert file == folder / "vocab.txt"
    ours = read_tokenizer(file)
    for text in TEXTS:
        assert ours.encode(text).ids == theirs(text)["input_ids"], text
        assert ours.decode(ours.encode(text).ids) == theirs.decode(theirs(text)["input_ids"], skip_special_tokens=True)
    both = theirs("the", "café")
    pair = ours.encode("the", "café")
    assert (pair.ids, pair.type_ids) == (both["input_ids"], both["token_type_ids"])


def write_byte_level(folder: Path, family: str, special: list[str], **config: object) -> Path:
    """Two merges over the letters that the texts of the test have; \u0120 is how GPT-2 writes a space."""
    tokens = [*special, *sorted({*"theunable!", "Ġ"}), "th", "the"]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\nt h\nth e\n")
    (folder / "config.json").write_text(json.dumps({"model_type": family}))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def test_vocab_json_and_merges_are_the_byte_level_tokenizers_that_transformers_makes_of_them(tmp_path: Path) -> None:
    roberta = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    for kind, family, special, space in (
        (GPT2Tokenizer, "gpt2", ["<|endoftext|>"], False),
        (RobertaTokenizer, "roberta", roberta, False),
        (RobertaTokenizer, "roberta", roberta, True),
    ):
        name = f"{family}{space}"
        folder = write_byte_level(tmp_path / name, family, special, add_prefix_space=space)
        theirs, file = kind.from_pretrained(folder), find_tokenizer(folder)
        assert file is not None
        ours = read_tokenizer(file)
        for text in ("the tea", " then  eat!", "unable"):
            assert ours.encode(text).ids == theirs(text)["input_ids"], (name, text)
        assert ours.encode("the", "tea").ids == theirs("the", "tea")["input_ids"], name


def test_the_files_beside_a_vocabulary_are_part_of_its_identity(tmp_path: Path) -> None:
    path = str(write_wordpiece(tmp_path) / "vocab.txt")
    before = TokenizerFile(path=path).identity()
    write_wordpiece(tmp_path, do_lower_case=False)
    assert TokenizerFile(path=path).identity() != before


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("the\n[UNK]\n")
    with pytest.raises(
        Refused, match=r"must contain all special tokens: it lacks sep_token=\[SEP\], pad_token=\[PAD\]"
    ):
        read_tokenizer(tmp_path / "vocab.txt")
    folder = write_byte_level(tmp_path / "gpt1", "openai-gpt", ["<unk>"])
    with pytest.raises(Refused, match=r"can only be read for gpt2, roberta, bart: got model_type 'openai-gpt'"):
        read_tokenizer(folder / "vocab.json")

"""Text that a tokenizer does not give back, against counts by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from zoo.components.data.text import Text
from zoo.components.tokenizer.bpe import BytePairs
from zoo.components.tokenizer.bytes import Bytes
from zoo.components.tokenizer.characters import Characters
from zoo.components.tokenizer.file import TokenizerFile
from zoo.data.interfaces import Tokenizer
from zoo.data.prepare import PreparedData, tokenize_data
from zoo.data.round_trip import count_lost_bytes


@pytest.mark.parametrize(
    ("text", "decoded", "lost"),
    [
        ("the cat", "the cat", 0),
        ("The Cat", "the cat", 2),
        ("the cat", " the cat", 1),
        ("die Bären", "die ren", 3),  # B and ä, which is two bytes
        ("大小", "大", 3),
        ("", "x", 1),
        ("ab", "ba", 2),
        ("a  b\n", "a b", 2),
    ],
)
def test_lost_bytes_are_those_of_characters_that_are_missing_or_added(text: str, decoded: str, lost: int) -> None:
    assert count_lost_bytes(text, decoded) == lost


def words(folder: Path) -> TokenizerFile:
    """Two words and [UNK], in small letters."""
    made = tokenizers.Tokenizer(models.WordLevel({"[UNK]": 0, "the": 1, "der": 2}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    made.save(str(folder / "words.json"))
    return TokenizerFile(path=str(folder / "words.json"))


def prepared(folder: Path, text: str, tokenizer: Tokenizer) -> PreparedData:
    (folder / "a.txt").write_text(text)
    return tokenize_data(Text(path=str(folder / "a.txt"), validation=0.5), tokenizer, 2, folder / "cache")


def test_what_is_lost_is_counted_for_each_split(tmp_path: Path) -> None:
    found = prepared(tmp_path, "The dog \nthe the ", words(tmp_path))
    # Training comes back as "the", without T and " dog \n"; validation whole, but for the space at its end.
    assert found.lost == {"train": pytest.approx(7 / 9), "validation": pytest.approx(1 / 8)}
    again = prepared(tmp_path, "The dog \nthe the ", words(tmp_path))
    assert again.lost == found.lost, "from the cache"


def test_characters_that_training_has_not_are_lost(tmp_path: Path) -> None:
    assert prepared(tmp_path, "abab abab \nabab zäh ", Characters()).lost == {
        "train": 0.0,
        "validation": pytest.approx(4 / 10),
    }


@pytest.mark.parametrize("tokenizer", [Bytes(), BytePairs(vocabulary=400)], ids=["bytes", "bpe"])
def test_bytes_lose_nothing(tokenizer: Tokenizer, tmp_path: Path) -> None:
    text = "Déjà vu\t \r\n  <mask> <unk>\n\x00\x7f 大小 🙂‍↔️ \ufeff x\n" * 3
    assert prepared(tmp_path, text, tokenizer).lost == {"train": 0.0, "validation": 0.0}

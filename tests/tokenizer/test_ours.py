from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer as Built

import zoo.checks
from zoo.checks import Refused
from zoo.data.interfaces import Tokenizer, Vocabulary
from zoo.data.special import OURS, protect
from zoo.tokenizer.bpe import BytePairs
from zoo.tokenizer.bytes import Bytes
from zoo.tokenizer.characters import Characters

TEXTS = [
    "the cat sat on the mat, the hat sat on the cat",
    "zażółć gęślą jaźń",
    "数字 🦓 <mask> <pad>",
    "\n\n  def f():\n\tpass",
]
MAKERS: dict[str, Tokenizer] = {"bytes": Bytes(), "characters": Characters(), "bpe": BytePairs(vocabulary=300)}
BUILT = {name: protect(maker.build(TEXTS)) for name, maker in MAKERS.items()}


def round_trip(built: Built, text: str) -> str:
    return built.decode(built.encode(text, add_special_tokens=False).ids, skip_special_tokens=True)


@given(text=st.text())
def test_bytes_bring_every_text_back(text: str):
    assert round_trip(BUILT["bytes"], text) == text


@given(text=st.text())
def test_bpe_brings_every_text_back(text: str):
    assert round_trip(BUILT["bpe"], text) == text


@given(text=st.text(alphabet=sorted(set("".join(TEXTS)))))
def test_characters_bring_known_texts_back(text: str):
    assert round_trip(BUILT["characters"], text) == text


@given(text=st.text())
def test_a_byte_is_a_token(text: str):
    assert BUILT["bytes"].encode(text, add_special_tokens=False).ids == [38 + byte for byte in text.encode()]


def test_an_unknown_character_is_unknown():
    vocabulary = Vocabulary.of(BUILT["characters"], OURS)
    ids = BUILT["characters"].encode("c§§t", add_special_tokens=False).ids
    assert [token == vocabulary.unk for token in ids] == [False, True, True, False]


@pytest.mark.parametrize("name", MAKERS)
def test_special_tokens_come_first_in_their_order(name: str):
    expected = ["<pad>", "<bos>", "<eos>", "<mask>", "<sep>", "<unk>", *(f"<extra_{i}>" for i in range(32))]
    assert [BUILT[name].id_to_token(i) for i in range(38)] == expected
    vocabulary = Vocabulary.of(BUILT[name], MAKERS[name].special(BUILT[name]))
    assert (vocabulary.pad, vocabulary.bos, vocabulary.eos) == (0, 1, 2)
    assert (vocabulary.mask, vocabulary.sep, vocabulary.unk) == (3, 4, 5)
    assert vocabulary.sentinels == tuple(range(6, 38))
    assert vocabulary.size == BUILT[name].get_vocab_size()


@pytest.mark.parametrize("name", MAKERS)
@given(parts=st.lists(st.sampled_from([*OURS.spellings(), "a", " ", "<", "ß"])))
def test_no_text_can_write_a_special_token(name: str, parts: list[str]):
    text = "".join(parts)
    reloaded = protect(Built.from_str(BUILT[name].to_str()))
    for built in (BUILT[name], reloaded):
        ids = built.encode(text, add_special_tokens=False).ids
        assert not [token for token in ids if token < 38 and token != 5]


@pytest.mark.parametrize("name", MAKERS)
def test_reloaded_it_is_the_same(name: str):
    reloaded = protect(Built.from_str(BUILT[name].to_str()))
    for text in TEXTS:
        assert reloaded.encode(text).ids == BUILT[name].encode(text).ids


def test_bpe_merges_what_is_frequent():
    vocabulary = BUILT["bpe"].get_vocab()
    assert len(vocabulary) == 300
    assert "at" in vocabulary
    assert len(BUILT["bpe"].encode("the cat sat").ids) < len("the cat sat")


def test_bpe_tells_when_there_is_too_little_text(caplog: pytest.LogCaptureFixture):
    with caplog.at_level("INFO", "zoo"):
        built = BytePairs(vocabulary=5000).build(["abab abab"])
    assert f"gave {built.get_vocab_size()} tokens, vocabulary=5000" in caplog.text


@pytest.mark.parametrize("vocabulary", [0, 293])
def test_bpe_without_room_is_refused(vocabulary: int):
    with pytest.raises(
        Refused, match=rf"at least 294 \(38 special tokens and 256 bytes\): got vocabulary={vocabulary}"
    ):
        BytePairs(vocabulary=vocabulary)


def test_bpe_of_the_smallest_size_is_bytes():
    assert BytePairs(vocabulary=294).build(TEXTS).get_vocab_size() == 294


def test_bpe_is_the_same_in_every_process():
    code = f"from zoo.tokenizer.bpe import BytePairs; print(BytePairs(vocabulary=300).build({TEXTS!r}).to_str())"
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(zoo.checks.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == BUILT["bpe"].to_str()


def test_identities_differ():
    made = [Bytes(), Characters(), BytePairs(), BytePairs(vocabulary=301)]
    assert len({maker.identity() for maker in made}) == len(made)

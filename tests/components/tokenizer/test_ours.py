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
from zoo.components.tokenizer.bpe import BytePairs
from zoo.components.tokenizer.bytes import Bytes
from zoo.components.tokenizer.characters import Characters
from zoo.data.interfaces import Tokenizer, Vocabulary
from zoo.data.special_tokens import NO_TOKEN, OURS, Required, protect_special_tokens

TEXTS = [
    "the cat sat on the mat, the hat sat on the cat",
    "zażółć gęślą jaźń",
    "数字 🦓 <mask> <pad>",
    "\n\n  def f():\n\tpass",
]
MAKERS: dict[str, Tokenizer] = {"bytes": Bytes(), "characters": Characters(), "bpe": BytePairs(vocabulary=262)}
ALL = Required(mask=True, sep=True, sentinels=4)
BUILT = {name: protect_special_tokens(maker.build(TEXTS, ALL)) for name, maker in MAKERS.items()}


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
    assert BUILT["bytes"].encode(text, add_special_tokens=False).ids == [9 + byte for byte in text.encode()]


def test_an_unknown_character_is_unknown():
    vocabulary = Vocabulary.from_tokenizer(BUILT["characters"], OURS)
    ids = BUILT["characters"].encode("c§§t", add_special_tokens=False).ids
    assert [token == vocabulary.unk for token in ids] == [False, True, True, False]


@pytest.mark.parametrize("name", MAKERS)
def test_special_tokens_come_first_in_their_order(name: str):
    unknown = ["<unk>"] if name == "characters" else []
    expected = ["<pad>", "<bos>", "<eos>", "<mask>", "<sep>", *unknown, *(f"<extra_{i}>" for i in range(4))]
    assert [BUILT[name].id_to_token(i) for i in range(len(expected))] == expected
    vocabulary = Vocabulary.from_tokenizer(BUILT[name], MAKERS[name].spell_special_tokens(BUILT[name]))
    assert (vocabulary.pad, vocabulary.bos, vocabulary.eos) == (0, 1, 2)
    assert (vocabulary.mask, vocabulary.sep, vocabulary.unk) == (3, 4, 5 if unknown else NO_TOKEN)
    assert vocabulary.sentinels == tuple(range(len(expected) - 4, len(expected)))
    assert vocabulary.size == BUILT[name].get_vocab_size()


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("required", [Required(), Required(mask=True), Required(sep=True), Required(sentinels=2)])
def test_no_more_special_tokens_than_required(name: str, required: Required):
    """And texts become the same tokens, whatever is required."""
    built = protect_special_tokens(MAKERS[name].build(TEXTS, required))
    vocabulary = Vocabulary.from_tokenizer(built, MAKERS[name].spell_special_tokens(built))
    more = required.mask + required.sep + required.sentinels + (name == "characters")
    ordinary = {"bytes": 256, "bpe": 262, "characters": len(set("".join(TEXTS)))}[name]
    assert vocabulary.size == 3 + more + ordinary
    assert (vocabulary.mask != NO_TOKEN, vocabulary.sep != NO_TOKEN) == (required.mask, required.sep)
    assert len(vocabulary.sentinels) == required.sentinels
    assert [built.encode(text).tokens for text in TEXTS] == [BUILT[name].encode(text).tokens for text in TEXTS]


@pytest.mark.parametrize("name", MAKERS)
@given(parts=st.lists(st.sampled_from([*OURS.list_required(ALL, unknown=True), "a", " ", "<", "ß"])))
def test_no_text_can_write_a_special_token(name: str, parts: list[str]):
    text = "".join(parts)
    reloaded = protect_special_tokens(Built.from_str(BUILT[name].to_str()))
    for built in (BUILT[name], reloaded):
        ids = built.encode(text, add_special_tokens=False).ids
        assert not set(ids) & set(
            Vocabulary.from_tokenizer(built, MAKERS[name].spell_special_tokens(built)).reserved_ids
        )


@pytest.mark.parametrize("name", MAKERS)
def test_reloaded_it_is_the_same(name: str):
    reloaded = protect_special_tokens(Built.from_str(BUILT[name].to_str()))
    for text in TEXTS:
        assert reloaded.encode(text).ids == BUILT[name].encode(text).ids


def test_bpe_merges_what_is_frequent():
    vocabulary = BUILT["bpe"].get_vocab()
    assert len(vocabulary) == 9 + 262
    assert "at" in vocabulary
    assert len(BUILT["bpe"].encode("the cat sat").ids) < len("the cat sat")


def test_bpe_tells_when_there_is_too_little_text(caplog: pytest.LogCaptureFixture):
    with caplog.at_level("INFO", "zoo"):
        built = BytePairs(vocabulary=5000).build(["abab abab"])
    assert f"{built.get_vocab_size() - 3} tokens were trained for vocabulary=5000" in caplog.text


@pytest.mark.parametrize("vocabulary", [0, 255])
def test_bpe_without_room_is_refused(vocabulary: int):
    with pytest.raises(Refused, match=rf"at least 256, one token per byte: got vocabulary={vocabulary}"):
        BytePairs(vocabulary=vocabulary)


def test_bpe_of_the_smallest_size_is_bytes():
    assert BytePairs(vocabulary=256).build(TEXTS).get_vocab_size() == 3 + 256


def test_bpe_is_the_same_in_every_process():
    code = f"print(BytePairs(vocabulary=262).build({TEXTS!r}).to_str())"
    code = f"from zoo.components.tokenizer.bpe import BytePairs; {code}"
    environment = {"PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(zoo.checks.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == BytePairs(vocabulary=262).build(TEXTS).to_str()


def test_identities_differ():
    made = [Bytes(), Characters(), BytePairs(), BytePairs(vocabulary=301)]
    assert len({maker.identity() for maker in made}) == len(made)

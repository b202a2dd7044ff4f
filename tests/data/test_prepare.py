from __future__ import annotations

import json
import logging
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

from zoo.checks import Refused
from zoo.components.data.numbers import Numbers
from zoo.components.tokenizer.bpe import BytePairs
from zoo.components.tokenizer.bytes import Bytes
from zoo.components.tokenizer.characters import Characters
from zoo.data import encode
from zoo.data.prepare import tokenize_data

TRAIN = ["the cat sat", "on the mat", "żółć 数 🦓", "a cat and a hat"]
HELD = ["the hat sat on a cat"]


def stream(rows) -> list[int]:
    batch = rows.get_batch(range(len(rows)))
    return [batch.tokens[0, 0].item(), *batch.tokens[:, 1:][batch.segment[:, 1:] >= 0].tolist()]


def test_documents_are_bos_text_eos(listed, tmp_path: Path):
    data = tokenize_data(listed(TRAIN, HELD), Bytes(), 8, tmp_path)
    first_byte = data.vocabulary.size - 256
    for rows, texts in ((data.train, TRAIN), (data.validation, HELD)):
        expected = []
        for text in texts:
            expected += [data.vocabulary.bos, *(first_byte + byte for byte in text.encode()), data.vocabulary.eos]
        assert stream(rows) == expected
        assert rows.bytes == sum(len(text.encode()) for text in texts)
    assert data.form == "documents"


def test_pairs_are_source_and_target_eos(listed_pairs, tmp_path: Path):
    train = [("1", "one"), ("22", "zwei"), ("x", "数")]
    data = tokenize_data(listed_pairs(train, [("3", "three")]), Bytes(), 64, tmp_path)
    batch = data.train.get_batch([2, 0, 1])
    first_byte = data.vocabulary.size - 256
    for row, (source, target) in enumerate([train[2], train[0], train[1]]):
        source_length, target_length = batch.source_length[row], batch.target_length[row]
        assert batch.source[row, :source_length].tolist() == [first_byte + byte for byte in source.encode()]
        expected = [*(first_byte + byte for byte in target.encode()), data.vocabulary.eos]
        assert batch.target[row, :target_length].tolist() == expected
        assert set(batch.target[row, target_length:].tolist()) <= {data.vocabulary.pad}
    assert data.train.bytes == 3 + 4 + 3
    assert data.form == "pairs"


def test_encode_and_decode(listed, tmp_path: Path):
    data = tokenize_data(listed(TRAIN, HELD), BytePairs(vocabulary=300), 4, tmp_path)
    ids = data.encode("a 🦓 <eos> here")
    assert data.decode([data.vocabulary.bos, *ids, data.vocabulary.eos, data.vocabulary.pad]) == "a 🦓 <eos> here"
    assert not set(ids) & set(data.vocabulary.reserved_ids)


def test_the_tokenizer_learns_from_training_only(listed, tmp_path: Path):
    data = tokenize_data(listed(["abab", "ab"], ["xyz" * 3]), Characters(), 2, tmp_path)
    ids = data.tokenizer.get_vocab()
    assert "a" in ids
    assert "x" not in ids
    assert set(stream(data.validation)[1:-1]) == {data.vocabulary.unk}


def test_the_second_time_nothing_is_read(listed, tmp_path: Path):
    source = listed(TRAIN, HELD)
    first = tokenize_data(source, Bytes(), 8, tmp_path)
    reads = len(source.reads)
    second = tokenize_data(source, Bytes(), 5, tmp_path)
    assert len(source.reads) == reads
    assert first.fingerprint == second.fingerprint
    assert stream(first.train) == stream(second.train)
    assert first.vocabulary == second.vocabulary


def test_fingerprint_tells_texts_and_tokenizers_apart(listed, tmp_path: Path):
    sources = [listed(TRAIN, HELD), listed(TRAIN[:3], HELD), listed(TRAIN, ["other"]), listed([*TRAIN, *HELD], HELD)]
    prints = [tokenize_data(source, Bytes(), 4, tmp_path).fingerprint for source in sources]
    prints.append(tokenize_data(sources[0], BytePairs(vocabulary=256), 4, tmp_path).fingerprint)
    assert len(set(prints)) == 5
    assert tokenize_data(sources[0], Bytes(), 4, tmp_path / "elsewhere").fingerprint == prints[0]


def test_ids_are_stored_as_small_as_they_fit(listed, tmp_path: Path):
    many = "".join(map(chr, range(0x4E00, 0x4E00 + 20000))) + "".join(map(chr, range(0x20000, 0x20000 + 46000)))
    small = tokenize_data(listed(TRAIN, HELD), Bytes(), 4, tmp_path).train.stream.values
    large = tokenize_data(listed([many], HELD), Characters(), 4, tmp_path)
    assert small.dtype == np.uint16
    assert large.train.stream.values.dtype == np.uint32
    assert large.decode(stream(large.train)) == many


def test_chunks_change_nothing(listed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = tokenize_data(listed(TRAIN, HELD), Bytes(), 4, tmp_path / "whole")
    monkeypatch.setattr(encode, "_CHUNK_CHARACTERS", 1)
    parts = tokenize_data(listed(TRAIN, HELD), Bytes(), 4, tmp_path / "parts")
    assert whole.fingerprint == parts.fingerprint
    assert stream(whole.train) == stream(parts.train)


def test_chunks_change_no_fingerprint_of_pairs(listed_pairs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = listed_pairs([("a", "b"), ("c", "d"), ("e", "f")], [("g", "h")])
    whole = tokenize_data(source, Bytes(), 8, tmp_path / "whole")
    monkeypatch.setattr(encode, "_CHUNK_CHARACTERS", 1)
    assert tokenize_data(source, Bytes(), 8, tmp_path / "parts").fingerprint == whole.fingerprint


def test_it_says_what_it_does(listed, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "zoo"):
        tokenize_data(listed(["some text"], HELD), Bytes(), 4, tmp_path)
    assert [line for line in caplog.messages if line.startswith("tokenizing listed") and line.endswith("bytes")]


def test_numbers_fit(tmp_path: Path):
    data = tokenize_data(Numbers(limit=1000), Characters(), 64, tmp_path)
    sources = [
        {data.decode(ids.tolist()) for ids in rows.get_batch(range(len(rows))).source}
        for rows in (data.train, data.validation)
    ]
    assert not sources[0] & sources[1]
    assert sources[0] | sources[1] == {str(number) for number in range(1000)}


# ------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("train", "validation", "message"),
    [
        ([], ["x"], "the train split is empty"),
        (["x" * 20], [], "the validation split is empty"),
        (["abc"], ["x"], r"one row of length \+ 1 = 9 tokens: got 5"),
        (["ok" * 9, "a\ud800b"], ["x"], "train document 1 is not valid Unicode"),
    ],
)
def test_bad_documents_are_refused(listed, tmp_path: Path, train: list[str], validation: list[str], message: str):
    with pytest.raises(Refused, match=message):
        tokenize_data(listed(train, validation), Bytes(), 8, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_pairs_that_do_not_fit_are_refused(listed_pairs, tmp_path: Path):
    source = listed_pairs([("a", "b" * 4), ("a", "b" * 9), ("aaa", "b" * 9)], [("a", "b")])
    with pytest.raises(Refused, match=r"2 of 3 train pairs are longer than length=8: the longest has 15 tokens"):
        tokenize_data(source, Bytes(), 8, tmp_path)
    assert len(tokenize_data(source, Bytes(), 15, tmp_path).train) == 3


def test_a_source_without_tokens_is_refused(listed_pairs, tmp_path: Path):
    with pytest.raises(Refused, match="validation source 1 has no tokens"):
        tokenize_data(listed_pairs([("a", "b")], [("a", "b"), ("", "b")]), Bytes(), 8, tmp_path)


def test_a_text_too_long_for_memory_is_refused(listed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(encode, "MAX_CHARACTERS", 10)
    with pytest.raises(Refused, match="at most 10 characters to fit in memory: got 11"):
        tokenize_data(listed(["x" * 11], HELD), Bytes(), 4, tmp_path)


def test_length_must_be_positive(listed, tmp_path: Path):
    with pytest.raises(Refused, match="length=0"):
        tokenize_data(listed(TRAIN, HELD), Bytes(), 0, tmp_path)


# --------------------------------------------------------------------------------------- killed, damaged, at once


def folder_of(cache: Path) -> Path:
    (folder,) = [path for path in cache.iterdir() if not path.suffix]
    return folder


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-3])


def flip(file: Path) -> None:
    """One bit of the last token."""
    content = file.read_bytes()
    file.write_bytes(content[:-2] + bytes([content[-2] ^ 2]) + content[-1:])


DAMAGE = {
    "a bit of the tokens": lambda folder: flip(folder / "train.document.npy"),
    "zeros for the offsets": lambda folder: (folder / "train.document.offsets.npy").write_bytes(
        (folder / "train.document.offsets.npy").read_bytes()[:128] + bytes(8 * (len(TRAIN) + 1))
    ),
    "another id for padding": lambda folder: (folder / "meta.json").write_text(
        (folder / "meta.json").read_text().replace('"pad": 0', '"pad": 1')
    ),
    "an empty manifest": lambda folder: (folder / "manifest.sha256").write_text(""),
    "no meta": lambda folder: (folder / "meta.json").unlink(),
    "half a meta": lambda folder: truncate(folder / "meta.json"),
    "no tokens": lambda folder: (folder / "train.document.npy").unlink(),
    "half the tokens": lambda folder: truncate(folder / "train.document.npy"),
    "half the offsets": lambda folder: truncate(folder / "validation.document.offsets.npy"),
    "other tokenizer": lambda folder: (folder / "tokenizer.json").write_text("{}"),
    "other meta": lambda folder: (folder / "meta.json").write_text(json.dumps({"dtype": "uint16"})),
    "empty": lambda folder: (shutil.rmtree(folder), folder.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_made_again(listed, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str):
    source = listed(TRAIN, HELD)
    before = stream(tokenize_data(source, Bytes(), 8, tmp_path).train)
    folder = folder_of(tmp_path)
    sound = {file.name: file.read_bytes() for file in folder.iterdir()}
    DAMAGE[damage](folder)
    damaged = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert damaged != sound
    assert stream(tokenize_data(source, Bytes(), 8, tmp_path).train) == before
    (told,) = (message for message in caplog.messages if f"set aside as {folder}.damaged-0" in message)
    assert any(f"{folder / name} " in told or f"{folder / name}'" in told for name in sound)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == sound
    assert {file.name: file.read_bytes() for file in Path(f"{folder}.damaged-0").iterdir()} == damaged


def test_what_a_killed_process_leaves_is_harmless(listed, tmp_path: Path):
    source = listed(TRAIN, HELD)
    before = stream(tokenize_data(source, Bytes(), 8, tmp_path).train)
    folder = folder_of(tmp_path)
    left = tmp_path / f".{folder.name}.0123"
    shutil.move(folder, left)
    (left / "meta.json").unlink()
    assert stream(tokenize_data(source, Bytes(), 8, tmp_path).train) == before
    assert left.is_dir()


def test_an_interrupt_leaves_nothing(listed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(encode.SplitWriter, "_tokenize", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tokenize_data(listed(TRAIN, HELD), Bytes(), 8, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_several_may_prepare_at_once(listed, tmp_path: Path):
    barrier = threading.Barrier(4)

    class Waiting(Bytes):
        def build(self, texts, *required):
            barrier.wait(timeout=20)  # all of them found no cache
            return super().build(texts, *required)

    found: list[list[int]] = []

    def work() -> None:
        found.append(stream(tokenize_data(listed(TRAIN, HELD), Waiting(), 8, tmp_path).train))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(tokens == found[0] for tokens in found)
    assert [path.name for path in tmp_path.iterdir()] == [folder_of(tmp_path).name]

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from zoo.checks import Refused
from zoo.components.data.pairs import TabSeparatedPairs
from zoo.components.data.text import Text, split_text
from zoo.components.tokenizer.bytes import Bytes
from zoo.data.prepare import tokenize_data


def both(text: Text) -> list[str]:
    return [*text.documents("train"), *text.documents("validation")]


def test_one_file_is_cut_at_the_begin_of_a_line(write):
    content = "".join(f"line {number}\n" for number in range(100))
    text = Text(path=write("a.txt", content), validation=0.2)
    (train,), (validation,) = text.documents("train"), text.documents("validation")
    assert train + validation == content
    assert validation.startswith("line 8")


@pytest.mark.parametrize("content", ["ab", "one long line without any end", "\n\nx", "x\n\n\n\n"])
@pytest.mark.parametrize("validation", [0.001, 0.5, 0.999])
def test_both_parts_of_a_cut_have_text(content: str, validation: float):
    train, held = split_text(content, validation)
    assert train
    assert held
    assert train + held == content


def test_one_character_cannot_be_cut(write):
    with pytest.raises(Refused, match="1 character"):
        list(Text(path=write("a.txt", "x")).documents("train"))


def test_a_folder_is_read_at_any_depth_and_by_pattern(write, tmp_path: Path):
    for number in range(20):
        write(f"deep/{number % 3}/{number}.txt", f"text {number}")
    write("deep/readme.md", "# no")
    text = Text(path=str(tmp_path), validation=0.3)
    assert sorted(both(text)) == sorted(f"text {number}" for number in range(20))
    assert list(text.documents("validation"))
    with pytest.raises(Refused, match=r"pattern=\*\.rst"):
        both(Text(path=str(tmp_path), pattern="*.rst"))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_units(write, end: str):
    content = end.join(["one", "two", "", "  ", "three", "", "four", ""])
    path = write("a.txt", content)
    assert sorted(both(Text(path=path, unit="paragraph"))) == sorted([f"one{end}two", "three", f"four{end}"])
    assert sorted(both(Text(path=path, unit="line"))) == sorted(["one", "two", "three", "four"])


def test_equal_lines_stay_on_one_side(write):
    path = write("a.txt", "\n".join(str(number % 20) for number in range(200)))
    text = Text(path=path, unit="line", validation=0.3)
    assert not set(text.documents("train")) & set(text.documents("validation"))
    assert len(both(text)) == 200


def test_a_byte_order_mark_is_no_text(write):
    assert "".join(both(Text(path=write("a.txt", b"\xef\xbb\xbfabc")))) == "abc"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.txt is empty: got 0 bytes"),
        (b" \n\n", "a.txt is empty: got 3 bytes"),
        (b"ok\nca\xe9\n", r"a.txt is not UTF-8: byte 5 \(line 2\) is 0xe9"),
    ],
)
def test_bad_files_are_refused(write, content: bytes, message: str):
    with pytest.raises(Refused, match=message):
        list(Text(path=write("a.txt", content)).documents("train"))


@pytest.mark.parametrize("path", ["", "/no/such/file.txt"])
def test_a_missing_path_is_refused(path: str):
    with pytest.raises(Refused, match=f"path={path}"):
        Text(path=path).identity()


def test_identity_changes_with_files_and_options(write):
    path = write("a.txt", "one\ntwo")
    seen = {
        Text(path=path).identity(),
        Text(path=path, unit="line").identity(),
        Text(path=path, validation=0.1).identity(),
    }
    os.utime(path, ns=(1, 1))
    assert Text(path=path).identity() in seen, "the content is what it was"
    write("a.txt", "one\ntwo\nthree")
    seen.add(Text(path=path).identity())
    assert len(seen) == 4


@pytest.mark.parametrize("source", [Text, TabSeparatedPairs])
@pytest.mark.parametrize("way", ["written to", "replaced"])
def test_a_file_of_equal_size_and_time_is_read_anew(source: Any, way: str, tmp_path: Path):
    """Prepared data come from a cache, whose key must know the content."""
    file, other = tmp_path / "a.txt", tmp_path / "b.txt"
    for path, word in ((file, "old"), (other, "new")):
        path.write_text("\n".join(f"{word}{i}\tmany lines" for i in range(10, 40)))
        os.utime(path, ns=(10**18, 10**18))

    def rows() -> str:
        prepared = tokenize_data(source(path=str(file)), Bytes(), 64, tmp_path / "cache")
        batch: Any = prepared.train.get_batch([0])
        return prepared.decode((batch.tokens if source is Text else batch.source)[0].tolist())

    before = rows()
    if way == "replaced":
        os.replace(other, file)
    else:
        file.write_bytes(other.read_bytes())
        os.utime(file, ns=(10**18, 10**18))
    assert (before[:3], rows()[:3]) == ("old", "new")

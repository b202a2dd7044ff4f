from __future__ import annotations

import pytest

from zoo.checks import Refused
from zoo.components.data.pairs import TabSeparatedPairs


def test_pairs_are_read_and_split_by_source(write):
    expected = [(f"source {number % 60}", f"target {number}") for number in range(100)]
    path = write("a.tsv", "".join(f"{source}\t{target}\r\n" for source, target in expected))
    pairs = TabSeparatedPairs(path=path, validation=0.2)
    train, validation = list(pairs.pairs("train")), list(pairs.pairs("validation"))
    assert sorted(train + validation) == sorted(expected)
    assert not {source for source, _ in train} & {source for source, _ in validation}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\tb\nc\n", r"line 2: must have a source, a tab and a target: got 1 column"),
        (b"a\tb\tc\n", r"line 1: must have a source, a tab and a target: got 3 column"),
        (b"a\tb\n\nc\td\n", r"line 2: must have a source, a tab and a target: got 1 column"),
        (b"a\tb\nc\t \n", r"line 2: source and target must not be blank: got 'c' and ' '"),
        (b"", "a.tsv is empty: got 0 bytes"),
        (b"a\tb\n\xff\tb\n", r"a.tsv is not UTF-8: byte 4 \(line 2\) is 0xff"),
    ],
)
def test_bad_files_are_refused(write, content: bytes, message: str):
    with pytest.raises(Refused, match=message):
        list(TabSeparatedPairs(path=write("a.tsv", content)).pairs("train"))


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(Refused, match=f"path must be a file: got path={tmp_path}"):
        TabSeparatedPairs(path=str(tmp_path)).identity()

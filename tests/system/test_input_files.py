"""Files that others name: what is no regular file, or too large, is refused in a line and never waited for."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import zoo
from zoo.checks import Refused
from zoo.system.input_files import read_bytes, read_json, read_text

KINDS: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a folder": Path.mkdir,
}


@pytest.mark.parametrize("kind", KINDS)
def test_only_regular_files_are_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    KINDS[kind](path)
    for read in (read_bytes, read_text, read_json):
        with pytest.raises(Refused, match=rf"config\.json: must be a regular file: got {kind}"):
            read(path)


def test_a_file_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"12345")
    assert read_bytes(path, 5) == b"12345"
    with pytest.raises(Refused, match=r"must have at most 4 bytes: got 5"):
        read_bytes(path, 4)
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path / "absent")
    with pytest.raises(Refused, match="cannot be read"):
        read_bytes(tmp_path / "null\0")
    with pytest.raises(Refused, match="cannot be read: File name too long"):
        read_bytes(tmp_path / ("x" * 300))
    path.write_bytes(b"a\xffb")
    with pytest.raises(Refused, match="must be UTF-8: got byte 0xff at 1"):
        read_text(path)


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "model=hub", "model.path={here}"],
        ["diff", "{here}", "gpt/tiny"],
        ["study", "{here}/study.yaml", "--status"],
        ["train", "model=gpt/tiny", "data=text", "data.path={here}/config.json"],
        ["train", "model=gpt/tiny", "data/tokenizer=file", "data.tokenizer.path={here}/config.json"],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
@pytest.mark.parametrize("kind", ["a FIFO", "a device"])
def test_commands_refuse_what_is_no_regular_file(
    arguments: list[str], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = tmp_path / "here"
    here.mkdir()
    for name in ("config.json", "study.yaml"):
        KINDS[kind](here / name)
    (here / "model.safetensors").write_bytes((2).to_bytes(8, "little") + json.dumps({}).encode())
    code, out, err = zoo(*(word.format(here=here) for word in arguments))
    assert (code, out) == (2, ""), err
    assert all(line.startswith("zoo: ") for line in err.splitlines())
    assert list(tmp_path.iterdir()) == [here]

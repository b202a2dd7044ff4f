"""Files are whole or absent, on disk before they count, readable for whom the umask says, and named where they fail."""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from zoo.system.files import (
    Damaged,
    clear_drafts,
    compute_digest,
    make_draft_path,
    publish_folder,
    replace_file,
    require_digest,
    set_aside,
    write_file,
)
from zoo.system.processes import identify_process


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is synced and renamed, in order, by the name that it has then."""
    found: list[tuple[str, str]] = []

    def named(number: int) -> str:
        return Path(os.readlink(f"/proc/self/fd/{number}")).name

    def recorded(what: str, call: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        def record(*given: Any) -> Any:
            found.append((what, name(given[0])))
            return call(*given)

        return record

    monkeypatch.setattr(os, "fsync", recorded("sync", os.fsync, named))
    for rename in ("replace", "rename"):
        monkeypatch.setattr(os, rename, recorded("rename", getattr(os, rename), lambda path: Path(path).name))
    return found


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 1,000 bytes, as the kernel sees it: also what libraries write themselves fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def save(path: Path, size: int = 1) -> None:
    with replace_file(path) as draft:
        save_file({"x": torch.zeros(size)}, draft)


def test_content_is_on_disk_before_its_name_and_the_name_before_it_returns(
    calls: list[tuple[str, str]], tmp_path: Path
) -> None:
    path = tmp_path / "a.json"
    write_file(path, "één\r\n")
    draft = calls[0][1]
    assert draft.startswith(".a.json~")
    assert path.read_bytes() == b"\xc3\xa9\xc3\xa9n\r\n"
    assert calls == [("sync", draft), ("rename", draft), ("sync", tmp_path.name)]
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_folder_gets_its_name_when_all_in_it_is_on_disk(calls: list[tuple[str, str]], tmp_path: Path) -> None:
    draft = make_draft_path(tmp_path / "data")
    (draft / "inner").mkdir(parents=True)
    (draft / "inner" / "tokens").write_text("1")
    (draft / "meta").write_text("2")
    publish_folder(draft, tmp_path / "data")
    assert {name for _, name in calls[:3]} == {"inner", "tokens", "meta"}
    assert calls[3:] == [("sync", draft.name), ("rename", draft.name), ("sync", tmp_path.name)]
    assert (tmp_path / "data" / "inner" / "tokens").read_text() == "1"


@pytest.mark.parametrize("write", [lambda path: write_file(path, "x" * 2000), lambda path: save(path, 2000)])
def test_where_the_disk_is_full_the_file_is_named_and_the_old_one_stays(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "model"
    write_file(path, "old")
    with full_disk(), pytest.raises(OSError, match="large") as caught:
        write(path)
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["model"]


def test_permissions_follow_the_umask_whoever_writes(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_file(tmp_path / "text", "x")
        save(tmp_path / "tensors")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}


def test_drafts_of_processes_that_are_gone_are_cleared(tmp_path: Path) -> None:
    process = subprocess.Popen(["sleep", "60"])
    killed = identify_process(process.pid)
    process.kill()
    process.wait()
    for name in (killed, identify_process(), "0123456789ab~1~2"):  # the last is of another machine
        (tmp_path / f".a~0~{name}.draft").mkdir()
        (tmp_path / f".b~0~{name}.draft").touch()
    clear_drafts(tmp_path, "a")
    assert len(os.listdir(tmp_path)) == 5
    write_file(tmp_path / "b", "")
    assert sorted(path.name.split("~")[0] for path in tmp_path.iterdir()) == [".a", ".a", ".b", ".b", "b"]
    os.utime(tmp_path / ".a~0~0123456789ab~1~2.draft", (0, 0))
    clear_drafts(tmp_path)
    assert {path.name.split("~")[0] for path in tmp_path.iterdir()} == {".a", ".b", "b"}  # of the others, .b is new


def test_one_bit_or_one_page_that_changed_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    content = bytes(range(256)) * 64
    path.write_bytes(content)
    assert compute_digest(path) == hashlib.sha256(content).hexdigest()
    require_digest(path, compute_digest(path))
    digest = compute_digest(path)
    for damaged in (
        content[:5000] + bytes([content[5000] ^ 4]) + content[5001:],
        content[:4096] + bytes(4096) + content[8192:],
    ):
        path.write_bytes(damaged)
        with pytest.raises(Damaged, match=f"{path} is damaged"):
            require_digest(path, digest)
    assert [set_aside(path).name, path.exists()] == ["tokens.damaged-0", False]
    path.touch()
    assert set_aside(path).name == "tokens.damaged-1"

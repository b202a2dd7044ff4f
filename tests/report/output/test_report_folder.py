"""The folder of a report: what a report wrote is replaced, and what it did not write is never touched."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from zoo.checks import Refused
from zoo.report.output import report_folder as module
from zoo.report.output.report_folder import MANIFEST, write_files

FILES = {"report.md": "new", "pictures/a.svg": "<svg/>", "table.csv": "é"}


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }


def test_a_report_replaces_the_one_before_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    mine = {"notes.txt": "mine", "pictures/mine.svg": "mine", "study.log": "mine"}
    for name, text in mine.items():
        (tmp_path / name).write_text(text)
    write_files(tmp_path, {**FILES, "pictures/old.svg": "old", "pictures/edited.svg": "old"})
    (tmp_path / "pictures" / "edited.svg").write_text("edited")
    assert write_files(tmp_path, {**FILES, "table.csv": "newer"}) == tmp_path
    assert contents(tmp_path) == {**FILES, "table.csv": "newer", **mine, "pictures/edited.svg": "edited"}
    checked = subprocess.run(["sha256sum", "--check", "--strict", MANIFEST], cwd=tmp_path, capture_output=True)
    assert checked.returncode == 0
    assert len(checked.stdout.splitlines()) == len(FILES)


@pytest.mark.parametrize("name", [*FILES, "pictures", MANIFEST])
def test_what_is_in_the_way_is_named_and_kept(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "report"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_text("mine")
    with pytest.raises(Refused, match=f"{folder} holds files that no report has written.*: {name}: move them"):
        write_files(folder, FILES)
    assert write_files(folder, FILES, renumber=True) == tmp_path / "report-2"
    assert write_files(folder, {**FILES, "report.md": "newer"}, renumber=True) == tmp_path / "report-2"
    assert [path.read_text() for path in folder.rglob("*") if path.is_file()] == ["mine"]
    assert contents(tmp_path / "report-2") == {**FILES, "report.md": "newer"}


def test_what_was_edited_is_kept(tmp_path: Path) -> None:
    write_files(tmp_path / "report", FILES)
    (tmp_path / "report" / "report.md").write_text("with remarks")
    with pytest.raises(Refused, match="changed since: report"):
        write_files(tmp_path / "report", FILES)
    assert write_files(tmp_path / "report", FILES, renumber=True) == tmp_path / "report-2"
    assert contents(tmp_path / "report") == {**FILES, "report.md": "with remarks"}


@pytest.mark.parametrize("name", ["report.md", "pictures"])
def test_links_are_not_followed(name: str, tmp_path: Path) -> None:
    """Also where the manifest lists what they lead to."""
    folder, elsewhere = tmp_path / "report", tmp_path / "elsewhere"
    write_files(folder, FILES)
    write_files(elsewhere, FILES)
    for path in sorted((folder / name).rglob("*")):
        path.unlink()
    (folder / name).rmdir() if (folder / name).is_dir() else (folder / name).unlink()
    (folder / name).symlink_to(elsewhere / name)
    with pytest.raises(Refused, match=name):
        write_files(folder, dict.fromkeys(FILES, "newer"))
    assert contents(elsewhere) == FILES


def test_a_manifest_of_a_stranger_reaches_no_other_folder(tmp_path: Path) -> None:
    victim = tmp_path / "victim.txt"
    victim.write_text("mine")
    digest = hashlib.sha256(b"mine").hexdigest()
    for name in ("../victim.txt", str(victim), "./../victim.txt", "pictures/../../victim.txt", "x/../../victim.txt"):
        folder = tmp_path / f"report{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / MANIFEST).write_text(f"{digest}  {name}\n")
        with pytest.raises(Refused, match=MANIFEST):
            write_files(folder, FILES)
        assert victim.read_text() == "mine"


@pytest.mark.parametrize("after", range(len(FILES) + 2))
def test_a_kill_leaves_nothing_that_the_next_report_takes_for_somebody_elses(
    after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_files(tmp_path, {**FILES, "pictures/old.svg": "old"})
    write, done = module.write_file, []

    def killed(path: Path, text: str) -> None:
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(path)
        write(path, text)

    monkeypatch.setattr(module, "write_file", killed)
    with pytest.raises(KeyboardInterrupt):
        write_files(tmp_path, dict.fromkeys(FILES, "newer"))
    monkeypatch.undo()
    assert write_files(tmp_path, dict.fromkeys(FILES, "newest")) == tmp_path
    assert contents(tmp_path) == dict.fromkeys(FILES, "newest")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("mine")
    with pytest.raises(Refused, match="must be a folder"):
        write_files(tmp_path / "report", FILES)
    assert write_files(tmp_path / "report", FILES, renumber=True) == tmp_path / "report-2"
    assert os.listdir(tmp_path / "report-2")

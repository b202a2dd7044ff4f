"""Names and paths that a user gives: what cannot be written to is refused before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import TINY, zoo
from zoo.system.names import check_name, check_path


@pytest.mark.parametrize("name", ["mine", "RMS against layer, 2", "数据", "...", "a" * 200, "heads=2 (new)"])
def test_ordinary_names_are_names(name: str, tmp_path: Path) -> None:
    assert list(check_name("name", name)) == []
    (tmp_path / f"{name}.report-0.html").touch()


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "/", "a\\b", "a\0b", "a\nb", "\x1b[1m", "\x9b", "a" * 201, "数" * 67, "\udcff"],
)
def test_others_are_refused(name: str) -> None:
    (problem,) = check_name("name", name)
    assert problem.startswith("name: ")
    assert problem.isprintable()


def test_a_path_may_lead_anywhere_that_can_be_written() -> None:
    assert list(check_path("runs", "../of others/" + "a" * 200)) == []
    assert list(check_path("runs", "a" * 201)) == ["runs: a name must have at most 200 bytes: got 201"]
    assert list(check_path("runs", "aaa/" * 1_000)) == ["runs: a path must have at most 3000 bytes: got 4000"]


STUDY = [word for word in TINY if not word.startswith("threads=")]
STUDY = ["study", *STUDY, "arms={a: {model/norm: rms}}", "seeds=1", "hydra/launcher=basic"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([*STUDY, "name=../../mine"], "name: must not contain a slash or backslash, since it names a folder: got '.."),
        ([*STUDY, f"name={'x' * 300}"], "name: a name must have at most 200 bytes: got 300"),
        ([*STUDY, "name=a\tb"], "name: must not contain control characters: got 'a\\tb'"),
        ([*STUDY, "name="], "name: must be the name of a folder: got ''"),
        ([*STUDY, f"runs={'x' * 300}"], "numbers baseline: runs: a name must have at most 200 bytes: got 300"),
        (["train", *TINY, f"runs=a/{'x' * 300}"], "runs: a name must have at most 200 bytes: got 300"),
        (["train", *TINY, "runs="], "runs: must name a folder: got ''"),
        (["train", *TINY, "cache='a\nb'"], "cache: must not contain control characters: got 'a\\nb'"),
        (["export", "mine", "x" * 300], "TARGET: a name must have at most 200 bytes: got 300"),
        (["new", "norm", "mine", "x" * 300], "FOLDER: a name must have at most 200 bytes: got 300"),
        (["new", "norm", "x" * 300], "NAME must be a Python name in lower case, of at most 64 characters"),
    ],
    ids=lambda value: " ".join(value)[-30:] if isinstance(value, list) else "",
)
def test_a_name_is_refused_before_anything_is_made(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "deep" / "below"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    code, _, err = zoo(*arguments)
    assert code == 2, err
    assert err.startswith(f"zoo: {told}")
    assert list(here.iterdir()) == []
    assert list(tmp_path.iterdir()) == [tmp_path / "deep"]


def test_a_study_says_its_name_by_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that stands where the command is called; a name that the file gives would be nobody's."""
    from zoo.study.cells.load_plan import load_plan

    monkeypatch.chdir(tmp_path)
    text = "question: x\nseeds: 1\narms: {a: {}, b: {steps: 1}}\ntasks: {t: {metrics: [loss]}}\n"
    Path("study.yaml").write_text(text)
    assert load_plan('{"from": "study.yaml"}').name == tmp_path.name
    assert load_plan('{"from": "study.yaml", "name": "mine"}').name == "mine"
    Path("study.yaml").write_text(f"{text}name: mine\n")
    code, _, err = zoo("study", "study.yaml", "--status")
    assert (code, err.split(": did")[0].split(": choices")[0]) == (2, "zoo: study.yaml: name: unknown key")

"""Reading run folders in every state, and making a study of whatever folders are given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from zoo.checks import Refused
from zoo.report import build_study, read_run

if TYPE_CHECKING:
    from tests.report.conftest import WriteRun

CONFIG = {"model": {"name": "decoder", "dim": 64}, "data": {"name": "copy"}, "objective": {"name": "causal"}}


def test_a_finished_run(tmp_path: Path, write_run: WriteRun) -> None:
    run = read_run(write_run(tmp_path / "a", CONFIG, seed=3), "decoder", "copy", 3)
    assert run.result is not None
    assert run.failure is None
    assert run.notes == ()
    assert run.config["model"]["dim"] == 64
    assert run.curves["step"].max() == 1000
    assert run.curves["validation/loss"].null_count() == run.curves.height - 21, "rows are sparse"


@pytest.mark.parametrize("state", ["planned", "running", "failed"])
def test_a_run_without_result(tmp_path: Path, write_run: WriteRun, state: str) -> None:
    run = read_run(write_run(tmp_path / "a", CONFIG, state=state), "decoder", "copy", 0)
    assert run.result is None
    assert (run.failure is not None) == (state == "failed")
    assert run.curves.is_empty() == (state == "planned")


@pytest.mark.parametrize("kept", [1, 5, 20])
def test_a_truncated_last_line_is_ignored_and_said(tmp_path: Path, write_run: WriteRun, kept: int) -> None:
    path = write_run(tmp_path / "a", CONFIG, state="running") / "metrics.csv"
    whole = path.read_text()
    last = whole.rstrip("\n").rindex("\n") + 1
    path.write_text(whole[: last + kept])
    run = read_run(path.parent, "decoder", "copy", 0)
    assert run.curves["step"].max() == 990
    assert run.notes == ("metrics.csv: 1 incomplete line ignored",)


def test_a_line_glued_by_a_resumed_run_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,train/loss\n1,2.0\n2,1.3,1.5\n3,nan\n4,1.0\n")
    run = read_run(tmp_path, "a", "t", 0)
    assert run.curves["step"].to_list() == [1, 3, 4]
    assert run.curves["train/loss"].is_nan().to_list() == [False, True, False]
    assert "1 incomplete line" in run.notes[0]


@pytest.mark.parametrize("content", ["", "step,train/loss", "step,train/loss\n", "\n\n"])
def test_an_empty_table(tmp_path: Path, content: str) -> None:
    (tmp_path / "metrics.csv").write_text(content)
    assert read_run(tmp_path, "a", "t", 0).curves.is_empty()


def test_a_broken_result_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"metrics": {"lo')
    run = read_run(tmp_path, "a", "t", 0)
    assert run.result is None
    assert f"{tmp_path}/result.json: must be JSON" in run.notes[0]


def test_a_config_that_cannot_be_read_is_none_and_said(tmp_path: Path) -> None:
    """Nor can it run code."""
    for content, why in (
        ("- 1\n", "must hold a mapping: got list"),
        ("model: !!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
        ("seed: [1]\n", r"seed must be an integer: got [1]"),
    ):
        (tmp_path / "config.yaml").write_text(content)
        run = read_run(tmp_path, "a", "t", 0)
        assert run.config == {}
        assert f"{tmp_path}/config.yaml" in run.notes[0]
        assert why in run.notes[0]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.yaml").write_text("seed: 1\n")
    _, runs = build_study([tmp_path, tmp_path / "other"])
    assert [run.folder for run in runs] == [tmp_path / "other"]
    with pytest.raises(Refused, match=r"config\.yaml: seed must be an integer"):
        build_study([tmp_path])


def test_seeds_make_one_arm_and_differences_name_it(tmp_path: Path, write_run: WriteRun) -> None:
    folders = [
        write_run(tmp_path / f"{dim}{seed}", {**CONFIG, "model": {"name": "decoder", "dim": dim}}, seed=seed)
        for dim in (64, 128)
        for seed in (0, 1)
    ]
    study, runs = build_study(folders)
    assert list(study.arms) == ["dim=64", "dim=128"]
    assert [(run.arm, run.seed) for run in runs] == [("dim=64", 0), ("dim=64", 1), ("dim=128", 0), ("dim=128", 1)]
    assert [(task.name, task.comparable, task.metrics[0]) for task in study.tasks] == [("copy", True, "loss")]
    assert str(folders[0]) in study.command


def test_different_objectives_are_not_comparable(tmp_path: Path, write_run: WriteRun) -> None:
    folders = [write_run(tmp_path / name, {**CONFIG, "objective": {"name": name}}) for name in ("causal", "span")]
    study, _ = build_study(folders)
    assert not study.tasks[0].comparable
    assert "objective.name" in study.tasks[0].note
    assert list(study.arms) == ["objective=causal", "objective=span"]


def test_tasks_are_kept_apart(tmp_path: Path, write_run: WriteRun) -> None:
    folders = [write_run(tmp_path / name, {**CONFIG, "data": {"name": name}}) for name in ("copy", "sort")]
    study, _ = build_study(folders)
    assert [(task.name, task.comparable) for task in study.tasks] == [("copy", True), ("sort", True)]
    assert list(study.arms) == ["decoder"]


def test_equal_tails_are_told_apart(tmp_path: Path, write_run: WriteRun) -> None:
    models = [{"encoder": {"layers": 2}, "decoder": {"layers": n}, "cross": {"kv": n}} for n in (2, 4)]
    models += [{"encoder": {"layers": 4}, "decoder": {"layers": 4}, "cross": {"kv": 4}}]
    folders = [write_run(tmp_path / str(i), {**CONFIG, "model": model}) for i, model in enumerate(models)]
    study, _ = build_study(folders)
    assert len(study.arms) == 3
    assert all("encoder.layers=" in arm and "decoder.layers=" in arm for arm in study.arms)


def test_the_same_run_twice(tmp_path: Path, write_run: WriteRun) -> None:
    first, second = write_run(tmp_path / "a", CONFIG), write_run(tmp_path / "b", CONFIG)
    assert len(build_study([first, first])[1]) == 1
    with pytest.raises(Refused, match="must differ in config or seed"):
        build_study([first, second])


def test_folders_without_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="got none"):
        build_study([])
    with pytest.raises(Refused, match=f"config.yaml: got {tmp_path}"):
        build_study([tmp_path])


def test_result_is_plain_json(tmp_path: Path, write_run: WriteRun) -> None:
    """The made-up runs look like real ones: NaN is written as a bare word, which must be read."""
    folder = write_run(tmp_path / "a", CONFIG, metrics={"loss": float("nan")})
    assert "NaN" in (folder / "result.json").read_text()
    assert json.loads((folder / "result.json").read_text())["steps"] == 1000

"""Studies: what is refused, what is expanded, and that only what is missing runs, whatever fails or is interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.command import ON_CPU, SMALL, TINY, zoo
from zoo.config.checking import check_run
from zoo.config.compose import compose_run
from zoo.model.cost import build_on_meta, compute_cost
from zoo.study.cells.expand_plan import expand_plan
from zoo.study.cells.load_plan import read_study
from zoo.study.plan.find_study import find_study
from zoo.study.train_cells import launch_jobs
from zoo.system.installation import find_package_folder
from zoo.system.signals import handle_command_signals
from zoo.training.run import find_status

BASIC = ["hydra/launcher=basic", "threads=1"]
STUDY: dict[str, Any] = {
    "question": "Does it matter?",
    "baseline": "two",
    "seeds": [1],
    "overrides": {
        "model": "gpt/tiny",
        "model.position.length": 64,
        **{key: int(value) for key, value in (line.split("=") for line in SMALL)},
        **dict(line.split("=") for line in ON_CPU if "threads" not in line),
        "steps": 2,
        "evaluate": 2,
    },
    "arms": {"two": {}, "one": {"model.heads": 1}},
    "tasks": {"numbers": {"metrics": ["loss"], "overrides": {"data": "numbers", "data.limit": 100, "data.length": 64}}},
}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(tmp_path)


def write(into: Path, **over: Any) -> Path:
    path = into / "heads" / "study.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({**STUDY, **over}, sort_keys=False))
    return path


def results(where: Path) -> dict[str, dict[str, Any]]:
    """Metrics apart from speed, by run."""
    found = {file.parent.name: json.loads(file.read_text())["metrics"] for file in where.glob("*/result.json")}
    return {run: {k: v for k, v in metrics.items() if k != "tokens_per_second"} for run, metrics in found.items()}


# -------------------------------------------------------------------------------------------------------- refused


def test_all_that_is_wrong_with_a_study_is_told_at_once(study: Path) -> None:
    given = {**STUDY, "sedes": [1], "seeds": [1, 1], "baseline": "tow", "tasks": {"numbers": {"metrics": "loss"}}}
    del given["question"]
    study.write_text(yaml.safe_dump(given))
    code, _, err = zoo("study", str(study), *BASIC)
    assert code == 2
    for told in (
        "sedes: unknown key: did you mean seeds?",
        "question: must be given (str)",
        "baseline: unknown arm 'tow': did you mean two? choices: one, two",
        "seeds: must be one or more distinct numbers: got [1, 1]",
        "tasks.numbers.metrics: must be a list of str: got 'loss'",
    ):
        assert sum(line.startswith(f"zoo: {study}: {told}") for line in err.splitlines()) == 1, err
    assert "Traceback" not in err
    assert not Path("runs").exists()


def test_problems_of_all_arms_are_told_at_once(study: Path, tmp_path: Path) -> None:
    write(tmp_path, arms={"two": {}, "a": {"model.heads": 3}, "b": {"model/ffn": "gatd"}})
    code, _, err = zoo("study", str(study), *BASIC)
    assert code == 2
    assert "zoo: numbers a: model.heads: heads must divide dim" in err
    assert "zoo: numbers b: model/ffn: unknown choice 'gatd': did you mean gated?" in err
    assert not Path("runs").exists()


def test_arms_that_are_one_run_are_refused(study: Path, tmp_path: Path) -> None:
    write(tmp_path, arms={"two": {}, "again": {"model.heads": 2.0, "checkpoint": 7}})
    code, _, err = zoo("study", str(study), *BASIC)
    assert code == 2
    assert "numbers again is the same run as numbers two: arms must differ" in err


# ------------------------------------------------------------------------------------------------------- expanded


def test_arms_tasks_and_seeds_are_expanded(study: Path, tmp_path: Path) -> None:
    more = {**STUDY["tasks"], "long": {"metrics": ["loss"], "overrides": {"data": "numbers", "data.limit": 50}}}
    further = {**STUDY["overrides"], "model.position.length": 128}
    plan = read_study(write(tmp_path, seeds=[1, 5], tasks=more, overrides=further))
    cells = expand_plan(plan, ["steps=7"]).build_cells(plan.seeds)
    assert [cell.name for cell in cells] == [
        f"{task} {arm} seed {seed}" for task in ("numbers", "long") for arm in ("two", "one") for seed in (1, 5)
    ]
    assert len({cell.checked.hash for cell in cells}) == 8
    for cell in cells:
        assert cell.checked.config.seed == cell.seed
        assert cell.checked.config.steps == 7
        assert cell.checked.config.model.heads == {"two": 2, "one": 1}[cell.arm]
        assert cell.checked.config.data.source.options["limit"] == {"numbers": 100, "long": 50}[cell.task]


def test_dry_run_prints_the_cells_and_makes_nothing(study: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    code, out, err = zoo("study", str(study), "--dry-run", *BASIC)
    assert code == 0, err
    assert "2 runs; " in out
    assert sorted(tmp_path.rglob("*")) == before


# ------------------------------------------------------------------------------------------------------------ run


def test_a_study_runs_what_is_missing_and_launchers_agree(study: Path, tmp_path: Path) -> None:
    code, out, err = zoo("study", str(study), *BASIC)
    assert code == 0, err
    assert "2 of 2 runs done" in out
    first = results(tmp_path / "runs")
    assert len(first) == 2
    assert (tmp_path / "runs" / "reports" / "heads" / "report.html").exists()

    written = {file: file.stat().st_mtime_ns for file in tmp_path.glob("runs/*/result.json")}
    assert "2 runs, 2 already done" in zoo("study", str(study), *BASIC).out
    assert {file: file.stat().st_mtime_ns for file in written} == written

    # An absolute path, because joblib may give the job to a process that another test began elsewhere.
    joblib = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "threads=1", f"runs={tmp_path / 'others'}"]
    code, _, err = zoo("study", str(study), *joblib)
    assert code == 0, err
    assert results(tmp_path / "others") == first

    code, out, _ = zoo("report", str(study))
    assert code == 0
    assert "report.html" in out


def test_an_arm_that_fails_is_told_and_takes_nothing_else_down(study: Path, tmp_path: Path) -> None:
    broken = {"optimizer.capturable": True, "optimizer.fused": False}  # known only at the first step on a CPU
    write(tmp_path, arms={"two": {}, "broken": broken, "one": {"model.heads": 1}})
    code, out, _ = zoo("study", str(study), *BASIC)
    assert code == 1
    assert len(results(tmp_path / "runs")) == 2
    assert "no result: numbers broken seed 1: AssertionError: If capturable=True" in " ".join(out.split())
    report = (tmp_path / "runs" / "reports" / "heads" / "report.html").read_text()
    assert "capturable" in report


def test_an_interrupted_study_goes_on_with_the_rest(tmp_path: Path) -> None:
    """Ctrl-C while the second run trains; the first is not made again."""
    study = write(tmp_path, arms={"two": {}, "long": {"steps": 30000}})
    command = [str(Path(sys.executable).with_name("zoo")), "study", str(study), *BASIC]
    heeded = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # which a shell's background jobs ignore
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heeded
    )
    try:
        until = time.monotonic() + 90
        while time.monotonic() < until and process.poll() is None:
            started = list(tmp_path.glob("runs/*/metrics.csv"))
            if len(started) == 2:
                break
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert re.search(r"interrupted by SIGINT: step \d+ is kept; run the same command again to go on", err)
    (first,) = tmp_path.glob("runs/*/result.json")
    before = first.stat().st_mtime_ns
    write(tmp_path, arms={"two": {}, "one": {"model.heads": 1}})
    os.chdir(tmp_path)
    code, out, err = zoo("study", str(study), *BASIC)
    assert code == 0, err
    assert "2 runs, 1 already done" in out
    assert first.stat().st_mtime_ns == before


# -------------------------------------------------------------------------------------------------- three_variants


def test_three_variants_are_alike_in_parameters() -> None:
    for cells in ([c for c in three_variants() if c.task == task] for task in ("numbers", "pydocs")):
        counted = {
            c.arm: compute_cost(build_on_meta(c.checked.plan, 512), 128, 128).parameters
            for c in cells
            if c.checked.plan
        }
        assert set(counted) == {"encoder_decoder", "encoder", "decoder"}
        assert max(counted.values()) < 1.05 * min(counted.values()), counted


def three_variants() -> list[Any]:
    plan = read_study(find_study("three_variants"))
    return expand_plan(plan).build_cells(plan.seeds)


def test_three_variants_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell of it, with sizes that hold for all."""
    monkeypatch.chdir(tmp_path)
    study = yaml.safe_load((find_package_folder("experiments") / "three_variants" / "study.yaml").read_text())
    study["tasks"]["pydocs"]["overrides"] = {
        **study["tasks"]["pydocs"]["overrides"],
        "data": "text",
        "data.path": str(text(tmp_path)),
        "data.tokenizer": {"name": "bpe", "vocabulary": 300},
    }
    study["tasks"]["pydocs"]["overrides"].pop("data.tokenizer.vocabulary", None)
    study["tasks"]["numbers"]["overrides"]["data.limit"] = 100
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    small = ["steps=2", "evaluate=2", "batch=4", "model.dim=32", "examples=1", *ON_CPU[:2]]
    code, out, err = zoo("study", str(tmp_path / "study.yaml"), *BASIC, *small)
    assert code == 0, err
    runs = 6 * len(study["seeds"])
    assert f"{runs} of {runs} runs done" in out
    seeds = {yaml.safe_load(f.read_text())["seed"] for f in tmp_path.glob("runs/*/config.yaml")}
    assert seeds == set(study["seeds"])


def text(into: Path) -> Path:
    file = into / "text.txt"
    file.write_text("\n\n".join(f"Paragraph {i} says {i * i}, and then it says {i % 5} again." for i in range(300)))
    return file


def test_a_launcher_that_dies_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def launch(jobs: Any) -> None:
        raise RuntimeError(f"workers died\nat {len(jobs)} jobs")

    launch_jobs(launch, [["a=1"], ["a=2"]])
    assert capsys.readouterr().err == "the launcher failed: RuntimeError: at 2 jobs\n"


def test_ctrl_c_ends_a_study_whatever_its_workers_say() -> None:
    def launch(jobs: Any) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            raise RuntimeError("a worker's word") from None

    before = signal.default_int_handler
    kept = signal.signal(signal.SIGINT, before)
    try:
        with pytest.raises(KeyboardInterrupt), handle_command_signals():
            launch_jobs(launch, [["a=1"]])
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, kept)


def test_what_other_code_made_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = [*TINY, f"runs={tmp_path}"]
    zoo("train", *tiny)
    checked = check_run(compose_run(tiny))
    assert find_status(checked) == "done"
    monkeypatch.setattr("zoo.training.run.hash_code", lambda: "other")
    assert find_status(checked) == "stale"

"""What a study launches, in which order and how often; and where it stands, by its folders alone."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from tests.command import zoo
from tests.study.test_study import BASIC, STUDY
from zoo.checks import Refused
from zoo.runs.claim import Claim
from zoo.runs.run_result import RunResult
from zoo.runs.run_start import RunStart
from zoo.study import train_cells as cells_module
from zoo.study.cells.cell_status import count_states, estimate_seconds_left, get_cell_status
from zoo.study.cells.expand_plan import expand_plan
from zoo.study.cells.load_plan import read_study
from zoo.study.cells.overview import print_statuses
from zoo.study.plan.cell import Cell
from zoo.study.train_cells import FailurePolicy, run_cells
from zoo.system.tables import Terminal
from zoo.training.provenance import hash_code, hash_components
from zoo.training.run import _list_components, run_folder


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Cell]:
    """Two arms with two seeds."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "heads" / "study.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump({**STUDY, "seeds": [1, 2]}, sort_keys=False))
    plan = read_study(path)
    return expand_plan(plan, ["threads=1"]).build_cells(plan.seeds)


def finish(cell: Cell, seconds: float = 0.0, **metrics: float | None) -> None:
    folder = run_folder(cell.checked)
    components = hash_components(_list_components(cell.checked.config))
    now = time.time()
    fingerprints = {"code": hash_code(), "components": components}
    start = RunStart(fingerprints=fingerprints, started=datetime.fromtimestamp(now - seconds, UTC))
    folder.record_start(cell.checked.config, start)
    diverged = None in metrics.values()
    folder.record_result(RunResult(folder=folder.path, metrics=metrics, diverged=diverged, **vars(start)))
    os.utime(folder.path / "result.json", (now, now))


def fail(cell: Cell) -> None:
    run_folder(cell.checked).record_start(cell.checked.config, RunStart())
    run_folder(cell.checked).record_failure(RuntimeError("out of luck\nat all"))


class Launcher:
    """Does to each cell what it is told to, once for each time that it is launched; else finishes it."""

    def __init__(self, cells: Sequence[Cell], **does: Sequence[Callable[[Cell], object]]) -> None:
        self.cells = {cell.name: cell for cell in cells}
        self.does = {name.replace("_", " "): list(what) for name, what in does.items()}
        self.launched: list[list[str]] = []

    def __call__(self, jobs: Sequence[Sequence[str]]) -> list[str | None]:
        names = [job[-1].rpartition("/")[2].strip('"').partition(" ")[2] for job in jobs]
        self.launched.append([name.removeprefix("numbers ") for name in names])
        return [self._do(name) for name in names]

    def _do(self, name: str) -> str | None:
        what = self.does.get(name.removeprefix("numbers "), [])
        said = (what.pop(0) if what else finish)(self.cells[name])
        return said if isinstance(said, str) else None


ALL = ["two seed 1", "two seed 2", "one seed 1", "one seed 2"]


def test_each_is_launched_once(cells: list[Cell]) -> None:
    launcher = Launcher(cells)
    assert run_cells(cells, launcher, FailurePolicy()) == {}
    assert launcher.launched == [ALL]


@pytest.mark.parametrize(
    ("policy", "launched"),
    [
        (FailurePolicy(), [ALL]),
        (FailurePolicy(retries=1), [ALL, ["two seed 2"]]),
        (FailurePolicy(retries=2), [ALL, ["two seed 2"], ["two seed 2"]]),
        (FailurePolicy(retries=3), [ALL, ["two seed 2"], ["two seed 2"]]),
        (FailurePolicy("stop"), [["two seed 1"], ["two seed 2"]]),
        (FailurePolicy("stop", parallel_runs=2), [ALL[:2]]),
        (FailurePolicy("stop", 1, 2), [ALL[:2], ALL[2:], ["two seed 2"]]),
        (FailurePolicy("stop", 2, 4), [ALL, ["two seed 2"], ["two seed 2"]]),
    ],
)
def test_what_follows_a_failure(policy: FailurePolicy, launched: list[list[str]], cells: list[Cell]) -> None:
    """One fails twice."""
    launcher = Launcher(cells, two_seed_2=[fail, fail])
    run_cells(cells, launcher, policy)
    assert launcher.launched == launched


def test_what_died_without_a_word_is_begun_once_more(cells: list[Cell]) -> None:
    killed = [lambda cell: run_folder(cell.checked).record_start(cell.checked.config, RunStart())] * 3
    launcher = Launcher(cells, one_seed_1=killed)
    run_cells(cells, launcher, FailurePolicy())
    assert launcher.launched == [ALL, ["one seed 1"]]
    assert get_cell_status(cells[2]).state == "interrupted"


def test_what_a_launcher_says_of_a_failure_is_kept(cells: list[Cell]) -> None:
    """For what is refused before there is a folder."""
    launcher = Launcher(cells, one_seed_1=[lambda cell: "Refused: no"])
    assert run_cells(cells, launcher, FailurePolicy()) == {cells[2].checked.hash: "Refused: no"}
    assert launcher.launched == [ALL]


def test_what_others_train_is_left_to_them_and_looked_at_again(
    cells: list[Cell], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of theirs is finished by them, the other is not."""
    claims = [Claim(run_folder(cell.checked).path) for cell in cells[:2]]
    for claim in claims:
        assert claim.take() is None
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            finish(cells[0])
            for claim in claims:
                with claim:
                    pass

    monkeypatch.setattr(cells_module.time, "sleep", sleep)
    launcher = Launcher(cells)
    run_cells(cells, launcher, FailurePolicy())
    assert launcher.launched == [ALL[2:], ALL[:2]]
    assert len(looks) == 2
    waited = f"waiting for other processes to finish: numbers two seed 1: process {os.getpid()} on "
    assert capsys.readouterr().err.count(waited) == 1


def test_policies_that_are_none_are_refused(cells: list[Cell]) -> None:
    for over, told in (
        ("hydra.sweeper.on_failure=halt", "on_failure must be go_on or stop: got on_failure=halt"),
        ("hydra.sweeper.retries=-1", "retries must not be negative: got retries=-1"),
    ):
        code, _, err = zoo("study", "heads", *BASIC, over)
        assert code == 2
        assert f"zoo: {told}" in err
    with pytest.raises(Refused, match="got on_failure="):
        FailurePolicy("")
    assert zoo("study", "heads", "--retries").err == "zoo: --retries: must be given a value\n"
    assert zoo("study", "heads", "--json").err == "zoo: --json: goes with --status or --dry-run\n"


# ------------------------------------------------------------------------------------------------- where it stands


def test_where_cells_stand(cells: list[Cell]) -> None:
    assert count_states(map(get_cell_status, cells)) == {"planned": 4}
    finish(cells[0], seconds=100)
    fail(cells[1])
    claim = Claim(run_folder(cells[2].checked).path)
    assert claim.take() is None
    csv = "step,tokens,seconds,train/loss,validation/loss\n1,5,1,2.5,\n1,5,1,,2.25\n"
    (run_folder(cells[2].checked).path / "metrics.csv").write_text(csv)
    run_folder(cells[3].checked).record_start(cells[3].checked.config, RunStart())
    found = [get_cell_status(cell) for cell in cells]
    assert [each.state for each in found] == ["done", "failed", "running", "interrupted"]
    done, failed, running, interrupted = found
    assert done.seconds == pytest.approx(100, abs=5)
    assert failed.error == "RuntimeError: out of luck\nat all"
    assert (running.step, running.loss) == (1, 2.25)
    assert running.silent == pytest.approx(0, abs=30)
    assert running.process.startswith(f"process {os.getpid()} on ")
    assert (interrupted.step, interrupted.loss, interrupted.silent) == (0, None, None)
    # Two whole runs, and half of one of two steps, one after another.
    assert done.seconds is not None
    assert estimate_seconds_left(found) == pytest.approx(2.5 * done.seconds)

    out = io.StringIO()
    print_statuses(found, 0, Terminal(out, width=120))
    told = out.getvalue()
    assert f"failed: numbers two seed 2: RuntimeError: out of luck  {run_folder(cells[1].checked).path}\n" in told
    assert "running: numbers one seed 1: step 1/2  loss 2.25  " in told
    assert "interrupted: numbers one seed 2: step 0/2\n" in told
    assert "1 of 4 runs done, about 4\N{NO-BREAK SPACE}min 10\N{NO-BREAK SPACE}s left" in told
    row = next(line for line in told.splitlines() if " two " in line)
    assert row.split() == ["numbers", "two", "1", "1"]


def test_the_time_left_is_told_by_runs_of_the_same_arm(cells: list[Cell]) -> None:
    assert estimate_seconds_left([get_cell_status(cell) for cell in cells]) is None
    finish(cells[0], seconds=100)
    finish(cells[2], seconds=1000)
    assert estimate_seconds_left([get_cell_status(cell) for cell in cells]) == pytest.approx(1100, abs=10)


def test_status_makes_nothing(cells: list[Cell], tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    code, out, err = zoo("study", "heads", "--status", *BASIC)
    assert code == 0, err
    assert "0 of 4 runs done" in out
    assert sorted(tmp_path.rglob("*")) == before

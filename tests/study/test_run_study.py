"""Rounds that are launched one after another, and what is handed to the report."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.study.test_study import STUDY
from tests.study.test_train_cells import Launcher, fail, finish
from zoo.config.compose import compose_run
from zoo.config.targets import find_target_problems
from zoo.report import build_tables
from zoo.runs.run_start import RunStart
from zoo.study.cells.expand_plan import expand_plan
from zoo.study.cells.expansion import Expansion
from zoo.study.cells.known_cells import list_known_cells
from zoo.study.cells.load_plan import read_study
from zoo.study.dashboard import Dashboard
from zoo.study.gather_study import gather_study
from zoo.study.plan.cell import Cell
from zoo.study.plan.study_plan import StudyPlan
from zoo.study.run_study import run_due_cells
from zoo.study.train_cells import FailurePolicy
from zoo.training.run import run_folder

RATES = {"learning_rates": {"values": [0.001, 0.003, 0.01], "seeds": [101]}}
TUNING = [f"{arm} lr {rate:g} seed 101" for arm in ("two", "one") for rate in (0.001, 0.003, 0.01)]


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[StudyPlan, Expansion]]:
    monkeypatch.chdir(tmp_path)

    def make(**over: Any) -> tuple[StudyPlan, Expansion]:
        path = tmp_path / "heads" / "study.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump({**STUDY, "seeds": [1, 2], **over}, sort_keys=False))
        plan = read_study(path)
        return plan, expand_plan(plan, ["threads=1"])

    return make


class Trainer(Launcher):
    """Knows cells of rounds to come by their names: what it is not told of them, it finishes with a loss."""

    def __init__(
        self, plan: StudyPlan, expansion: Expansion, loss: Callable[[Cell], float | None], **does: Sequence[Any]
    ) -> None:
        rates = (None,) if plan.rates is None else plan.rates.values
        seeds = (*plan.seeds, *(() if plan.rates is None else plan.rates.seeds))
        super().__init__([s.build_cell(n, r) for s in expansion.settings for n in seeds for r in rates], **does)
        self.loss = loss
        self.labels: list[str] = []

    def __call__(self, jobs: Sequence[Sequence[str]]) -> list[str | None]:
        self.labels += [job[-1] for job in jobs]
        return super().__call__(jobs)

    def _do(self, name: str) -> str | None:
        told = name.removeprefix("numbers ")
        if not self.does.get(told):
            self.does[told] = [lambda cell: finish(cell, loss=self.loss(cell))]
        return super()._do(name)


def by_rate(cell: Cell) -> float:
    """Best for one arm at 0.003, for the other at 0.01."""
    best = {"two": 0.003, "one": 0.01}[cell.arm]
    return abs((cell.rate or 0.0) - best) + cell.seed / 1000


def test_runs_follow_when_their_learning_rate_is_known(study: Callable[..., tuple[StudyPlan, Expansion]]) -> None:
    plan, expansion = study(**RATES)
    trainer, board = Trainer(plan, expansion, by_rate), Dashboard()
    assert run_due_cells(plan, expansion, trainer, FailurePolicy(), board, print) == {}
    runs = ["two lr 0.003 seed 1", "two lr 0.003 seed 2", "one lr 0.01 seed 1", "one lr 0.01 seed 2"]
    assert trainer.launched == [TUNING, runs]
    assert [cell.name.removeprefix("numbers ") for cell in board.known.cells] == TUNING + runs
    assert trainer.labels[0] == 'label="1/6 numbers two lr 0.001 seed 101"'
    assert trainer.labels[-1] == 'label="10/10 numbers one lr 0.01 seed 2"'

    described, found, _ = gather_study("heads", [])
    (table,) = build_tables(described, found)
    assert [(row.arm, row.done) for row in table.rows] == [("two", 2), ("one", 2)]
    assert [(run.arm, run.rate, run.seed) for run in found if not run.tuning] == [
        ("two", 0.003, 1), ("two", 0.003, 2), ("one", 0.01, 1), ("one", 0.01, 2)
    ]  # fmt: skip
    assert len([run for run in found if run.tuning]) == 6
    assert described.tasks[0].note == "The best learning rate of one, 0.01, is the largest tried."


def test_a_learning_rate_that_failed_is_tried_again_and_then_counts_as_lost(
    study: Callable[..., tuple[StudyPlan, Expansion]],
) -> None:
    plan, expansion = study(**RATES)
    trainer = Trainer(plan, expansion, by_rate, **{"two lr 0.003 seed 101": [fail, fail]})
    run_due_cells(plan, expansion, trainer, FailurePolicy(retries=1), Dashboard(), print)
    assert trainer.launched[:2] == [TUNING, ["two lr 0.003 seed 101"]]
    assert trainer.launched[2][:2] == ["two lr 0.001 seed 1", "two lr 0.001 seed 2"]


def test_a_learning_rate_that_did_not_finish_keeps_its_arm_waiting(
    study: Callable[..., tuple[StudyPlan, Expansion]],
) -> None:
    """As whoever looks at the folders later would see it."""
    plan, expansion = study(**RATES)
    killed = [lambda cell: run_folder(cell.checked).record_start(cell.checked.config, RunStart())] * 2
    trainer, board = Trainer(plan, expansion, by_rate, **{"two lr 0.01 seed 101": killed}), Dashboard()
    run_due_cells(plan, expansion, trainer, FailurePolicy(), board, print)
    assert trainer.launched == [TUNING, ["two lr 0.01 seed 101"], ["one lr 0.01 seed 1", "one lr 0.01 seed 2"]]
    assert board.known.more == 2
    assert board.known == list_known_cells(plan, expansion)


def test_a_failure_that_stops_a_study_stops_its_rounds(study: Callable[..., tuple[StudyPlan, Expansion]]) -> None:
    plan, expansion = study(**RATES)
    trainer = Trainer(plan, expansion, by_rate, **{"one lr 0.01 seed 101": [fail]})
    run_due_cells(plan, expansion, trainer, FailurePolicy("stop", parallel_runs=6), Dashboard(), print)
    assert trainer.launched == [TUNING]


def test_the_verdicts_of_the_report_are_those_that_ended_the_study(
    study: Callable[..., tuple[StudyPlan, Expansion]],
) -> None:
    """One is far off from the first look on, one diverges at the sixth seed, one is never told from the baseline."""
    noise = [0.3, 0.1, 0.5, 0.2, 0.4, 0.35, 0.15, 0.45]
    arms = {"two": {}, "one": {"model.heads": 1}, "wild": {"model.hidden": 16}, "near": {"model.hidden": 48}}
    plan, expansion = study(seeds="until_decided", max_seeds=8, arms=arms)

    def loss(cell: Cell) -> float | None:
        if cell.arm == "wild" and cell.seed == 6:
            return None
        place = list(arms).index(cell.arm)
        return noise[(cell.seed + 3 * place) % 8] * (1 + place) + (30 if cell.arm == "one" else 0)

    trainer, board = Trainer(plan, expansion, loss), Dashboard()
    run_due_cells(plan, expansion, trainer, FailurePolicy(), board, print)
    assert [len(batch) for batch in trainer.launched] == [16, 3, 3, 2, 2]
    described, runs, _ = gather_study("heads", [])
    assert (described.until_decided, described.max_seeds) == (True, 8)
    (table,) = build_tables(described, runs)
    found = {row.arm: (one.verdict, one.pairs) for row in table.rows if (one := table.get_comparison(row))}
    assert found == {"one": ("worse", 4), "wild": ("diverged", 5), "near": ("undecided", 8)}
    assert {row.arm: row.done for row in table.rows} == {"two": 8, "one": 4, "wild": 6, "near": 8}


def test_what_other_code_made_is_not_mixed_with_new_results(
    study: Callable[..., tuple[StudyPlan, Expansion]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, expansion = study(**RATES)
    run_due_cells(plan, expansion, Trainer(plan, expansion, by_rate), FailurePolicy(), Dashboard(), print)
    monkeypatch.setattr("zoo.training.run.hash_code", lambda: "other")
    _, runs, _ = gather_study("heads", [])
    assert len(runs) == 10  # all is old, and told as that
    assert all(run.stale and run.result for run in runs)
    assert len(list_known_cells(plan, expansion).cells) == 6  # to be run again, first of all the learning rates
    monkeypatch.setattr("tests.study.test_train_cells.hash_code", lambda: "other")
    tuning = list_known_cells(plan, expansion).cells
    for cell in tuning:
        finish(cell, loss=by_rate(cell))
    described, runs, _ = gather_study("heads", [])
    (table,) = build_tables(described, runs)
    assert [(row.arm, row.done, row.stale) for row in table.rows] == [("two", 0, 2), ("one", 0, 2)]
    assert not any(cell.values for row in table.rows for cell in row.cells)


def test_runs_that_are_done_are_looked_up_and_not_launched_composed_or_asked_about_again(
    study: Callable[..., tuple[StudyPlan, Expansion]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 40 runs of two arms: two compositions, one look at the data, no import of an optimizer or trainer."""
    plan, expansion = study(seeds=20)
    cells = expansion.build_cells(plan.seeds)
    for cell in cells:
        finish(cell, loss=1.0)
        file = run_folder(cell.checked).path / "result.json"
        result = json.loads(file.read_text())
        result["fingerprints"]["data"] = "as today"
        file.write_text(json.dumps(result))
    calls: Counter[str] = Counter()

    def counted(where: str, name: str, answer: Callable[..., Any]) -> None:
        def call(*given: Any) -> Any:
            calls[name] += 1
            return answer(*given)

        monkeypatch.setattr(f"{where}.{name}", call)

    counted("zoo.study.cells.expand_plan", "compose_run", compose_run)
    counted("zoo.config.checking", "find_target_problems", find_target_problems)
    counted("zoo.study.run_study", "hash_data", lambda config: "as today")
    trainer = Trainer(plan, expansion, by_rate)
    run_due_cells(plan, expand_plan(plan, ["threads=1"]), trainer, FailurePolicy(), Dashboard(), print)
    assert (trainer.launched, len(cells)) == ([], 40)
    assert calls == {"compose_run": 2, "hash_data": 1}
    counted("zoo.study.run_study", "hash_data", lambda config: "another")
    run_due_cells(plan, expansion, trainer, FailurePolicy(), Dashboard(), print)
    assert [len(batch) for batch in trainer.launched] == [40]


def test_looking_at_a_study_imports_no_trainer() -> None:
    script = "import sys, zoo.study.run_study; print({'lightning', 'torchmetrics', 'scipy.stats'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

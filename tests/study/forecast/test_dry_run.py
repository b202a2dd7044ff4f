"""The dry run: what will be run, what it costs and what is left out, told before anything is made."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.command import NUMBERS, ON_CPU, checked
from zoo.checks import Refused
from zoo.config.checking import check_run
from zoo.model.build import build
from zoo.report.records.records import Match
from zoo.study.cells.cell_status import CellStatus
from zoo.study.cells.expansion import Expansion
from zoo.study.cells.known_cells import KnownCells, list_known_cells
from zoo.study.forecast import dry_run, forecast
from zoo.study.forecast.estimate_run_times import Estimate
from zoo.study.match import quantities
from zoo.study.plan.cell import Cell, Setting
from zoo.study.plan.controls import Rates
from zoo.study.plan.study_plan import StudyPlan
from zoo.study.plan.tasks import TaskPlan
from zoo.system.tables import Terminal

LINES = ("model=llama", "model.dim=32", "model.layers=1", "model.heads=2", *NUMBERS, *ON_CPU)
TASK = TaskPlan("numbers", ("loss",), True, "", {}, None, "numbers")
PLAN = StudyPlan("gates", Path("study.yaml"), "Does a gate help?", "", "gated", (1, 2, 3), {}, {}, (TASK,))


@functools.cache
def composed() -> Setting:
    lines = (*LINES, "steps=100", "batch=8", "model.hidden=64")
    return Setting("gated", "numbers", lines, checked(*lines))


def arm(name: str, optimizer: dict[str, Any] | None = None, **model: Any) -> Setting:
    config = composed().checked.config.as_mapping()
    found = check_run(
        {**config, "model": {**config["model"], **model}, "optimizer": {**config["optimizer"], **(optimizer or {})}}
    )
    found.require()
    return replace(composed(), arm=name, checked=found)


@pytest.fixture(autouse=True)
def seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run takes ten seconds, and there are four cores."""

    def estimate(settings: Sequence[Setting], tell: Callable[[str], None]) -> dict[tuple[str, str], Estimate]:
        return {(each.arm, each.task): Estimate(10.0) for each in settings}

    monkeypatch.setattr(forecast, "estimate_run_times", estimate)
    monkeypatch.setattr("joblib.cpu_count", lambda: 4)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)


def shown(plan: StudyPlan, expansion: Expansion, rounds: KnownCells | None = None) -> list[str]:
    """Lines on a terminal of 80 columns."""
    out = io.StringIO()
    rounds = list_known_cells(plan, expansion) if rounds is None else rounds
    dry_run.print_dry_run(plan, expansion, rounds, Terminal(out, width=80))
    return [line.replace("\N{NO-BREAK SPACE}", " ").rstrip() for line in out.getvalue().splitlines()]


def tokens(row: Setting) -> int:
    return quantities.measure_row_shape(row.checked).length * 8 * 100


def test_a_row_says_what_an_arm_costs_and_how_long_it_takes() -> None:
    gated, moe = (
        arm("gated"),
        arm("mixture of experts", ffn={"name": "moe", "experts": 4, "router": {"top_k": 1, "normalize": False}}),
    )
    lines = shown(PLAN, Expansion((gated, moe)))
    assert lines[0].split() == ["arm", "parameters", "FLOPs/token", "runs", "time", "per", "run"]
    assert lines[1] == "numbers"
    size = sum(
        p.numel()
        for p in build(
            gated.checked.config.model.options, quantities.measure_row_shape(gated.checked).vocabulary
        ).parameters()
    )
    row = next(line for line in lines if "gated" in line).split()
    assert row[:3] == ["gated", f"{size / 1000:.1f}", "k"]
    assert row[-3:] == ["3", "10", "s"]
    above, below = lines.index(next(line for line in lines if "mixture" in line)), 1
    router = 32 * 4
    assert f"{(size + router) / 1000:.1f} k active" in lines[above + below]
    assert all(len(line) <= 80 for line in lines)
    each = tokens(gated)
    assert lines[-1] == f"6 runs; {6 * each / 1000:.0f} k tokens to read, about 15 s on this machine, 4 runs at a time"


def test_what_is_not_run_and_what_was_moved_is_told() -> None:
    moved = {
        ("mlp", "numbers"): Match("parameters", "model.hidden", 64, 96, 1000.0, 1002.0),
        ("none", "numbers"): Match(
            "parameters", "model.hidden", 64, 64, 1000.0, 400.0, "nothing helps: [b]ffn[/b] is none"
        ),
        ("equal", "numbers"): Match("parameters", "model.hidden", 64, 64, 1000.0, 1000.0),
    }
    settings = (arm("gated"), arm("mlp", hidden=96), arm("none", hidden=65), arm("equal", hidden=66))
    expansion = Expansion(
        settings,
        (("lstm", "numbers", "it sees no positions"),),
        moved,
        (("wide", "numbers", (1, 2, 3)), ("mlp", "numbers", (2, 3))),
    )
    lines = shown(PLAN, expansion)
    table = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert "hidden 64→96 +0.20 %" in table["mlp"]
    assert "−60 %" in table["none"]
    assert "→" not in table["equal"] + table["none"] + table["gated"]
    assert "not matched: numbers none, −60 %: nothing helps: [b]ffn[/b] is none" in lines
    assert "not applicable: numbers lstm: it sees no positions" in lines
    assert "excluded by where: numbers wide" in lines
    assert "excluded by where: numbers mlp: seeds 2, 3" in lines


def test_seeds_that_are_left_out_are_not_counted() -> None:
    few = replace(arm("few", hidden=96), left_out=frozenset({2, 3}))
    lines = shown(PLAN, Expansion((arm("gated"), few)))
    assert next(line for line in lines if "few" in line).split()[-3:] == ["1", "10", "s"]
    assert lines[-1].startswith("4 runs; ")


def test_learning_rates_come_first_and_seeds_may_be_added() -> None:
    plan = replace(PLAN, seeds=tuple(range(1, 21)), until_decided=True, rates=Rates((0.001, 0.01), (101, 102)))
    expansion = Expansion((arm("gated"), arm("mlp", hidden=96)))
    rounds = list_known_cells(plan, expansion, lambda cell: None)
    assert {cell.tuning for cell in rounds.cells} == {True}
    lines = shown(plan, expansion, rounds)
    assert next(line for line in lines if "mlp" in line).split()[-5:] == ["8", "to", "24", "10", "s"]
    assert (
        "each arm first tries the learning rates 0.001, 0.01 with seeds 101, 102; its other runs use the best" in lines
    )
    assert "seeds are added until each arm has a verdict, up to 20" in lines
    assert lines[-1].startswith("16 to 48 runs; ")
    assert lines[-1].endswith("about 40 s to 2 min 0 s on this machine, 4 runs at a time")


def test_what_is_there_is_not_counted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def standing(cell: Cell) -> CellStatus:
        return CellStatus(cell, "done" if cell.seed < 3 or cell.arm == "old" else "planned")

    monkeypatch.setattr(forecast, "get_cell_status", standing)
    lines = shown(PLAN, Expansion((arm("gated"), arm("old", hidden=96))))
    each = tokens(composed())
    assert lines[-1] == (
        f"6 runs, 5 already done; {each / 1000:.1f} k tokens to read, about 10 s on this machine, 4 runs at a time"
    )
    table = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert "2 done" in table["gated"]
    assert table["old"].split()[-2:] == ["3", "done"]


def test_what_fails_at_once_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        forecast, "estimate_run_times", lambda settings, tell: {("gated", "numbers"): Estimate(None, "out of memory")}
    )
    lines = shown(PLAN, Expansion((arm("gated"),)))
    assert "fails: numbers gated: out of memory" in lines
    assert "this machine" not in lines[-1]


def test_times_that_are_predicted_are_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {("gated", "numbers"): Estimate(10.0), ("mlp", "numbers"): Estimate(20.0, is_measured=False)}
    monkeypatch.setattr(forecast, "estimate_run_times", lambda settings, tell: known)
    lines = shown(PLAN, Expansion((arm("gated"), arm("mlp", hidden=96))))
    table = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert table["gated"].split()[-2:] == ["10", "s"]
    assert table["mlp"].split()[-2:] == ["~20", "s"]
    assert any(line.startswith("~: the times of 1 of 2 arms are predicted") for line in lines)


def test_problems_with_the_data_are_told_at_once() -> None:
    with pytest.raises(Refused) as refused:
        shown(PLAN, Expansion((arm("gated", vocabulary=5), arm("mlp"), arm("wide", vocabulary=6))))
    one, two = str(refused.value).splitlines()
    assert one.startswith("numbers gated: model.vocabulary must be at least that of the data: got 5, the data has ")
    assert two.startswith("numbers wide: model.vocabulary must be at least that of the data: got 6")


def test_every_cell_as_json() -> None:
    moved = {("mlp", "numbers"): Match("parameters", "model.hidden", 64, 96, 1000.0, 1002.0)}
    expansion = Expansion((composed(), arm("mlp", hidden=96)), (("lstm", "numbers", "why"),), moved)
    told = json.loads(json.dumps(dry_run.build_dry_run_json(PLAN, expansion, list_known_cells(PLAN, expansion))))
    assert told["runs"] == {"least": 6, "most": 6}
    assert told["seconds"] == {"least": 15.0, "most": 15.0}
    assert told["not_applicable"] == [{"arm": "lstm", "task": "numbers", "why": "why"}]
    assert told["matched"][0]["mismatch"] == pytest.approx(0.002)
    assert [(cell["arm"], cell["seed"]) for cell in told["cells"]] == [
        (a, s) for a in ("gated", "mlp") for s in (1, 2, 3)
    ]
    cell = told["cells"][1]
    found = checked(*cell["overrides"])
    assert cell["hash"] == found.hash == Path(cell["folder"]).name
    assert cell["state"] == "planned"
    assert cell["seconds"] == 10.0
    assert cell["train_tokens"] == tokens(composed())
    assert cell["train_flops"] == cell["flops_per_token"] * cell["train_tokens"]
    model = build(found.config.model.options, quantities.measure_row_shape(found).vocabulary)
    assert cell["parameters"] == sum(parameter.numel() for parameter in model.parameters())


def test_many_settings_of_few_models_are_costed_by_model(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    build_on_meta = quantities.build_on_meta

    def counted(*given: Any) -> Any:
        made.append(1)
        return build_on_meta(*given)

    monkeypatch.setattr(quantities, "build_on_meta", counted)
    settings = [
        arm(f"{width} {rate}", {"lr": rate / 1e4}, hidden=width) for width in (201, 202, 203) for rate in range(1, 21)
    ]
    expansion = Expansion(tuple(settings))
    lines = shown(replace(PLAN, seeds=(1,)), expansion, KnownCells(tuple(expansion.build_cells([1]))))
    assert lines[-1].startswith("60 runs; ")
    assert len(made) == 2 * 3  # for what is needed, and for what is executed

"""The table, the answer drawn from it, and its print in a terminal."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from zoo.checks import Refused
from zoo.report import Run, Study, Task, build_tables, print_summary, read_run
from zoo.report.claims.answer import format_answer, format_budget
from zoo.report.claims.format import format_difference, format_mean
from zoo.report.output.json_numbers import format_json
from zoo.report.records.metrics import Metric
from zoo.runs.run_start import RunFailure
from zoo.statistics import compute_mean_interval, compute_paired_difference
from zoo.system.tables import Terminal
from zoo.system.units import format_count, format_duration

if TYPE_CHECKING:
    from tests.report.conftest import MakeStudy, WriteRun


def printed(study: Study, runs: list[Run]) -> str:
    console = Terminal(io.StringIO(), width=200)
    print_summary(study, runs, console)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def with_metrics(run: Run, **metrics: float | None) -> Run:
    assert run.result is not None
    return replace(run, result=replace(run.result, metrics={**run.result.metrics, **metrics}))


def test_cells_hold_every_seed_and_its_statistics(make_study: MakeStudy) -> None:
    study, runs = make_study({"a": 0.2, "b": 0.6}, baseline="b")
    (table,) = build_tables(study, runs)
    first, second = table.rows
    values = {run.seed: run.metrics["exact_match"] for run in runs if run.arm == "a" and run.result}
    base = {run.seed: run.metrics["exact_match"] for run in runs if run.arm == "b" and run.result}
    assert first.cells[0].values == values
    assert first.cells[0].interval == compute_mean_interval(list(values.values()))
    assert first.cells[0].difference == compute_paired_difference(values, base)
    assert second.cells[0].difference is None, "the baseline does not differ from itself"
    assert (first.overrides, second.baseline) == ({"model.name": "a"}, True)
    assert (first.parameters, first.planned, first.done) == (812_544, 3, 3)


@pytest.mark.parametrize("lost", [None, math.nan, math.inf])
def test_a_diverged_run_is_counted_and_in_no_mean(make_study: MakeStudy, lost: float | None) -> None:
    study, runs = make_study({"a": 0.2, "b": 0.6})
    runs[1] = with_metrics(runs[1], loss=lost)
    (table,) = build_tables(study, runs)
    row = table.rows[0]
    assert (row.done, row.diverged, len(row.cells[1].values)) == (3, 1, 3)
    assert row.cells[1].interval is not None
    assert row.cells[1].interval.count == 2
    assert "1 of 6 finished runs diverged" in format_answer(table)
    assert "but this is not decided, because 1 of its 3 finished runs diverged: " in format_answer(table)


def test_failed_and_unfinished_runs_are_counted(make_study: MakeStudy) -> None:
    study, runs = make_study({"a": 0.2, "b": 0.6})
    runs[0] = replace(runs[0], result=None, failure=RunFailure("out of memory"))
    runs[4] = replace(runs[4], result=None)
    (table,) = build_tables(study, runs)
    assert [(row.planned, row.done, row.failed, row.unfinished) for row in table.rows] == [(3, 2, 1, 0), (3, 2, 0, 1)]
    assert "1 of 6 failed" in format_answer(table)


def test_the_first_is_decided_only_where_intervals_are_apart(make_study: MakeStudy) -> None:
    study, runs = make_study({"near": 0.4, "far": 2.0, "nearer": 0.401})
    (table,) = build_tables(study, runs)
    why = "but this is not decided, because its interval overlaps with that of nearer: "
    assert f"near has the highest exact match, {why}" in format_answer(table)
    (apart,) = build_tables(study, [run for run in runs if run.arm != "nearer"])
    lead = "On numbers, near has the highest exact match, and its interval overlaps with no other: "
    assert format_answer(apart).startswith(lead)


def test_the_goal_decides_who_is_first(make_study: MakeStudy) -> None:
    study, runs = make_study({"a": 0.9, "b": 0.2}, tasks=(Task("text", True, ("loss",)),))
    lead = "On text, b has the lowest loss, and its interval overlaps with no other: 0.2"
    assert format_answer(build_tables(study, runs)[0]).startswith(lead)
    study, runs = make_study({"a": 0.9}, tasks=(Task("more", True, ("tokens_per_second",)),))
    assert format_answer(build_tables(study, runs)[0]).startswith("On more, tokens per second: a 1")


def test_one_seed_decides_nothing(make_study: MakeStudy) -> None:
    study, runs = make_study({"a": 0.2, "b": 2.0}, seeds=(0,))
    told = format_answer(build_tables(study, runs)[0])
    assert "(one seed)" in told
    assert "but this is not decided, because one seed gives no interval (a and b): " in told


def test_what_cannot_be_compared_is_not_ranked(make_study: MakeStudy) -> None:
    task = Task("text", False, ("loss",), "a denoises.")
    study, runs = make_study({"a": 0.2, "b": 0.6}, tasks=(task,), baseline="b")
    (table,) = build_tables(study, runs)
    assert "On text, the arms are not compared: " in format_answer(table)
    assert format_answer(table).endswith("measure different things. a denoises.")
    assert all(cell.difference is None for row in table.rows for cell in row.cells)


def test_no_finished_run(make_study: MakeStudy) -> None:
    study, runs = make_study({"a": 0.2}, state="running")
    assert format_answer(build_tables(study, runs)[0]) == "On numbers, no run has finished yet."


def test_arms_that_do_not_apply_say_why(make_study: MakeStudy) -> None:
    study, runs = make_study({"a": 0.2, "b": 0.6})
    study = replace(study, not_applicable=(("b", "numbers", "b cannot see a prefix"),))
    told = printed(study, [run for run in runs if run.arm == "a"])
    assert "b is not applicable: b cannot see a prefix" in told


def test_budgets_tell_how_far_costs_are_apart(make_study: MakeStudy) -> None:
    study, runs = make_study({"a": 0.2, "b": 0.6})
    assert "equal parameters (813\N{NO-BREAK SPACE}k)" in format_budget(build_tables(study, runs)[0])
    for i, run in enumerate(runs):
        if run.arm == "b" and run.result:
            runs[i] = replace(run, result=replace(run.result, cost={"parameters": 1_625_088, "flops_per_token": 1}))
    assert "parameters from 813\N{NO-BREAK SPACE}k to 1.63\N{NO-BREAK SPACE}M (2.00×)" in format_budget(
        build_tables(study, runs)[0]
    )


def test_executed_operations_stand_beside_those_that_differ(make_study: MakeStudy) -> None:
    study, runs = make_study({"a": 0.2, "b": 0.6})
    for i, run in enumerate(runs):
        if run.result:
            executed = 5_440_000 if run.arm == "a" else 5_600_000
            cost = {**run.result.cost, "executed_flops_per_token": executed}
            runs[i] = replace(run, result=replace(run.result, cost=cost))
    tables = build_tables(study, runs)
    assert {row.arm: row.executes_more for row in tables[0].rows} == {"a": False, "b": True}
    assert [arm["executed_flops_per_token"] for arm in json.loads(format_json(study, tables))["tasks"][0]["arms"]] == [
        5_440_000,
        5_600_000,
    ]


def test_metrics_may_differ_between_tasks_and_be_missing(make_study: MakeStudy) -> None:
    tasks = (Task("numbers", True, ("exact_match",)), Task("text", True, ("bits_per_byte", "loss")))
    study, runs = make_study({"a": 0.2, "b": 0.6}, tasks=tasks)
    format_json, text = build_tables(study, runs)
    assert [metric.name for metric in text.metrics] == ["bits_per_byte", "loss"]
    assert text.rows[0].cells[0].interval is None
    assert text.rows[0].diverged == 0
    assert format_answer(text) == "On text, no finished run has a finite bits per byte."
    assert format_json.rows[0].cells[0].interval is not None


def test_strangers_are_refused(make_study: MakeStudy) -> None:
    study, runs = make_study({"decoder": 0.2})
    with pytest.raises(Refused, match=r"unknown arm 'decodr' .*did you mean decoder"):
        build_tables(study, [replace(runs[0], arm="decodr")])
    with pytest.raises(Refused, match="unknown task 'texts'"):
        build_tables(study, [replace(runs[0], task="texts")])
    with pytest.raises(Refused, match="unknown baseline 'b'"):
        build_tables(replace(study, baseline="b"), runs)


def test_the_terminal_shows_names_as_they_are(make_study: MakeStudy, hostile: str) -> None:
    study, runs = make_study({"[red]a[/red]": 0.2, hostile: 0.6}, baseline=hostile)
    told = printed(study, runs)
    assert "[red]a[/red]" in told
    assert hostile in told
    assert "3/3" in told


def test_a_run_of_a_folder_and_the_table_agree(tmp_path: Path, write_run: WriteRun) -> None:
    folder = write_run(tmp_path / "r", {"data": {"name": "t"}}, metrics={"exact_match": 0.5})
    study = Study("s", "q", "", None, {"a": {}}, (Task("t", True, ("exact_match",)),))
    (table,) = build_tables(study, [read_run(folder, "a", "t", 0)])
    assert format_answer(table) == "On t, exact match: a 50.0\N{NO-BREAK SPACE}% (one seed)."


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "—"), (0, "0"), (999, "999"), (999.6, "1.00 k"), (16_000, "16.0 k"), (5.4e6, "5.40 M"), (1.5e21, "1500 E")],
)
def test_counts(value: float | None, text: str) -> None:
    assert format_count(value) == text.replace(" ", "\N{NO-BREAK SPACE}")


@pytest.mark.parametrize(("seconds", "text"), [(3.2, "3 s"), (75, "1 min 15 s"), (7260, "2 h 1 min")])
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == text


def test_spreads_never_round_to_nothing() -> None:
    loss = Metric.from_name("loss")
    assert format_mean(loss, compute_mean_interval([1.80001, 1.80003, 1.80002])).endswith("± 0.00002")
    assert format_mean(loss, compute_mean_interval([12.0])) == "12.00"
    assert format_difference(loss, compute_mean_interval([-0.004, -0.006])).startswith("−0.0050 ± ")
    assert format_difference(Metric.from_name("exact_match"), compute_mean_interval([0.05, 0.05])) == "+5.0 ± 0.0"

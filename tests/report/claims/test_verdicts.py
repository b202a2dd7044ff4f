"""Verdicts in the table, in the answer, in a terminal, on the page and in report.json, and the margin of a task."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from zoo.checks import Refused
from zoo.report import Run, Study, Table, Task, build_tables, print_summary, write_report
from zoo.report.claims.answer import format_answer
from zoo.report.claims.format import format_amount, format_chance, format_probability
from zoo.report.claims.verdicts import format_design
from zoo.report.records.metrics import Metric
from zoo.statistics import compare, compute_detectable_effect
from zoo.study.cells.load_plan import read_study
from zoo.system.tables import Terminal

if TYPE_CHECKING:
    from tests.report.conftest import MakeStudy

SEEDS = range(6)
NOISE = (0.011, -0.004, 0.002, -0.013, 0.007, -0.003)  # of a pair's difference


def with_metrics(run: Run, **metrics: float | None) -> Run:
    assert run.result is not None
    return replace(run, result=replace(run.result, metrics={**run.result.metrics, **metrics}))


@pytest.fixture
def decided(make_study: MakeStudy) -> tuple[Study, list[Run]]:
    """Against ``base``, by exact match: one arm of each verdict, and one that does not apply."""
    gaps = {"base": 0.0, "up": 0.1, "down": -0.1, "same": 0.0, "open": 0.006, "lost": 0.1}
    task = Task("numbers", True, ("exact_match", "loss"), margin=1.5)
    study, runs = make_study(dict.fromkeys(gaps, 0.4), SEEDS, (task,), "base")
    told = []
    for run in runs:
        spread = NOISE[(run.seed + len(run.arm)) % 6] * (0.2 if run.arm == "same" else 3 if run.arm == "open" else 1)
        score = 0.5 + run.seed / 50 + gaps[run.arm] + (0 if run.arm == "base" else spread)
        diverged = run.arm == "lost" and run.seed < 2
        told.append(with_metrics(run, exact_match=score, **({"loss": None} if diverged else {})))
    study = replace(study, arms={**study.arms, "odd": {}}, not_applicable=(("odd", "numbers", "odd sees nothing"),))
    return study, told


def table_of(study: Study, runs: list[Run]) -> Table:
    (table,) = build_tables(study, runs)
    return table


def printed(study: Study, runs: list[Run], width: int = 200) -> str:
    console = Terminal(io.StringIO(), width=width)
    print_summary(study, runs, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_arm_has_its_verdict(decided: tuple[Study, list[Run]]) -> None:
    table = table_of(*decided)
    assert table.family is not None
    verdicts = {arm: one.verdict for arm, one in table.family.comparisons.items()}
    assert verdicts == {"up": "better", "down": "worse", "same": "equal", "open": "undecided", "lost": "diverged"}
    values = {row.arm: dict(row.cells[0].values) for row in table.rows if row.cells and not row.not_applicable}
    values["lost"] |= {0: math.nan, 1: math.nan}  # diverged in loss, though exact match is a number
    base = values.pop("base")
    pairs = {arm: (by_seed, base) for arm, by_seed in values.items()}
    told = compare(pairs, higher_is_better=True, margin=0.015)
    assert table.family.comparisons == told, "1.5 points are 0.015 of one"
    assert table.family.noise == pytest.approx(np.std(list(base.values()), ddof=1))


def test_the_answer_is_in_verdicts(decided: tuple[Study, list[Run]]) -> None:
    told = format_answer(table_of(*decided)).replace("\N{NO-BREAK SPACE}", " ")
    lead = "On numbers, judged by exact match, up beats base by 10.0 ± 0.9 points (adjusted p < 0.001, 6 seeds); "
    assert told.startswith(lead)
    assert len(lead.split()) <= 25, "what came out and how sure it is"
    for part in (
        "; down is worse than base by 10.0 ± 0.9 points (adjusted p < 0.001, 6 seeds); ",
        "; same is equivalent to base within 1.5 points (",
        "; open is undecided against base (+0.6 ±",
        "more seeds needed",
        "; lost diverged on 2 of 6 seeds. base reaches 55.0 ± 3.9 %.",
    ):
        assert part in told
    assert "overlap" not in told


def test_the_answer_names_some_and_counts_the_rest(make_study: MakeStudy) -> None:
    study, runs = make_study({"b": 0.4, "a0": 1.2, "a1": 2.0, "a2": 0.8, "a3": 1.6, "a4": 1.0}, SEEDS, baseline="b")
    told = format_answer(table_of(study, runs))
    assert "judged by exact match, a1, a3, a0 and 2 more are worse than b by " in told, "the largest differences first"
    assert told.count("±") == 4, "three arms and the baseline"


def test_nothing_decided_is_said_first(make_study: MakeStudy) -> None:
    study, runs = make_study({"a": 0.4, "b": 0.4}, baseline="b")
    assert format_answer(table_of(study, runs)).startswith(
        "On numbers, judged by exact match, no comparison is decided: a is undecided against b ("
    )


def test_one_seed_gives_no_verdict(make_study: MakeStudy, tmp_path: Path) -> None:
    study, runs = make_study({"a": 0.2, "b": 2.0}, (0,), baseline="b")
    table = table_of(study, runs)
    assert "no comparison is decided: a has no verdict against b yet (+" in format_answer(table)
    assert "; only one pair of seeds)" in format_answer(table)
    assert format_design(table) == ""
    assert "no verdict" in write_report(study, runs, tmp_path).read_text()


def test_a_baseline_that_diverged_is_told(make_study: MakeStudy) -> None:
    study, runs = make_study({"a": 0.2, "b": 2.0}, baseline="b")
    runs = [with_metrics(run, exact_match=None) if run.arm == "b" and run.seed == 0 else run for run in runs]
    assert "a is undecided against b (+" in format_answer(table_of(study, runs))
    assert "2 seeds; the reference diverged on 1 seed)" in format_answer(table_of(study, runs))
    runs = [with_metrics(run, exact_match=None) if run.arm == "b" else run for run in runs]
    told = format_answer(table_of(study, runs))
    assert "a is undecided against b (the reference diverged on 3 seeds)." in told
    assert "b reaches" not in told


def test_verdicts_of_an_unfinished_study_are_provisional(make_study: MakeStudy) -> None:
    study, runs = make_study({"a": 0.2, "b": 2.0}, baseline="b")
    assert "provisional" not in format_answer(table_of(study, runs))
    runs[0] = replace(runs[0], result=None)
    assert format_answer(table_of(study, runs)).endswith(
        "So far, 5 of 6 runs have finished. Verdicts are provisional until all runs have finished."
    )


def test_nothing_is_compared_without_baseline_goal_or_sense(make_study: MakeStudy) -> None:
    for task, baseline in (
        (Task("t", True, ("exact_match",)), None),
        (Task("t", False, ("exact_match",)), "b"),
        (Task("t", True, ("peculiarity",)), "b"),
    ):
        study, runs = make_study({"a": 0.2, "b": 2.0}, tasks=(task,), baseline=baseline, metrics={"peculiarity": 1.0})
        assert table_of(study, runs).family is None
        assert "verdict" not in printed(study, runs)
        for run in runs:
            for file in run.folder.iterdir():
                file.unlink()
            run.folder.rmdir()


def test_the_design_is_told_below_the_table(decided: tuple[Study, list[Run]], tmp_path: Path) -> None:
    table = table_of(*decided)
    assert table.family is not None
    one = table.family.comparisons["up"]
    assert one.smallest == compute_detectable_effect(float(np.std(one.differences, ddof=1)), 6, 0.05 / 5)
    told = format_design(table).replace("\N{NO-BREAK SPACE}", " ")
    assert "the exact match of base has a standard deviation of 3.7 points." in told
    assert "points for same to " in told
    assert " points for open." in told
    assert "corrected for 5 comparisons" in told
    assert "Equivalence margin: 1.5 points. Rule: paired t-tests after all seeds, with Holm's correction." in told
    assert format_design(table) in write_report(*decided, tmp_path).read_text().replace("&#39;", "'")
    assert " ".join(format_design(table).split()) in " ".join(printed(*decided).split())


def test_the_terminal_shows_p_and_verdict_even_where_it_is_narrow(decided: tuple[Study, list[Run]]) -> None:
    for width in (200, 80):
        lines = printed(*decided, width=width).splitlines()
        assert "adjusted p" in next(line for line in lines if "against base" in line)
        assert any("up " in line and "better" in line and "< 0.001" in line for line in lines)


def test_the_page_shows_them(decided: tuple[Study, list[Run]], tmp_path: Path) -> None:
    html = write_report(*decided, tmp_path).read_text()
    for verdict in ("better", "worse", "equal", "undecided", "diverged"):
        assert html.count(f'<b class="{verdict}">{verdict}</b>') == 1
    assert "not applicable: odd sees nothing" in html
    assert "On a new seed" in html


def test_report_json_carries_all(decided: tuple[Study, list[Run]], tmp_path: Path) -> None:
    study, runs = decided
    write_report(study, runs, tmp_path)
    table = table_of(study, runs)
    assert table.family is not None

    def refuse(constant: str) -> Any:
        raise AssertionError(constant)

    told = json.loads((tmp_path / "report.json").read_text(), parse_constant=refuse)
    (task,) = told["tasks"]
    assert (task["answer"], task["design"]["margin"]) == (format_answer(table), 0.015)
    arms = {arm["arm"]: arm for arm in task["arms"]}
    assert {name: arm["verdict"] for name, arm in arms.items()} == {
        "base": None, "up": "better", "down": "worse", "same": "equal",
        "open": "undecided", "lost": "diverged", "odd": "not applicable",
    }  # fmt: skip
    one, up = table.family.comparisons["up"], arms["up"]["comparison"]
    assert (up["p"], up["adjusted_p"], up["better_chance"]) == (one.p, one.adjusted_p, one.better_chance)
    assert up["differences"] == list(one.differences)
    assert up["smallest_detectable"] == one.smallest
    assert up["bootstrap"] is None, "six pairs"
    assert arms["lost"]["comparison"]["p"] is None
    assert arms["lost"]["metrics"]["loss"]["by_seed"]["0"] is None
    assert arms["up"]["metrics"]["loss"]["difference"]["count"] == 6


def test_ten_pairs_have_a_bootstrap_interval(make_study: MakeStudy, tmp_path: Path) -> None:
    write_report(*make_study({"a": 0.4, "b": 0.6}, range(10), baseline="b"), tmp_path)
    told = json.loads((tmp_path / "report.json").read_text())["tasks"][0]["arms"][0]["comparison"]
    assert told["interval"]["low"] < told["bootstrap"]["low"] < told["bootstrap"]["high"] < told["interval"]["high"]


def test_amounts_and_probabilities() -> None:
    match, loss = Metric.from_name("exact_match"), Metric.from_name("loss")
    shares = [format_amount(match, value).replace("\N{NO-BREAK SPACE}", " ") for value in (0.005, 0.1234, 0.00012, 0.0)]
    assert shares == ["0.50 points", "12 points", "0.012 points", "0 points"]
    assert [format_amount(loss, value) for value in (0.0123, -1.26, 1234.0, math.nan)] == ["0.012", "1.3", "1,234", "—"]
    assert [format_probability(p) for p in (0.0001, 0.0123, 0.0998, 1.0, math.nan)] == [
        "< 0.001",
        "0.012",
        "0.10",
        "1.00",
        "—",
    ]


# ------------------------------------------------------------------------------------------------ margin of a task


def written(folder: Path, task: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(
        f"question: q\nbaseline: a\nseeds: [1]\narms: {{a: {{}}, b: {{}}}}\ntasks: {{t: {{metrics: [loss], {task}}}}}\n"
    )
    return path


def test_the_margin_of_a_task_is_read(tmp_path: Path) -> None:
    assert read_study(written(tmp_path, "margin: 0.5")).tasks[0].margin == 0.5
    assert read_study(written(tmp_path, "note: none")).tasks[0].margin is None


@pytest.mark.parametrize("task", ["margin: 0", "margin: -1.5", "margin: wide", "margin: 1, comparable: false"])
def test_a_margin_without_sense_is_refused(tmp_path: Path, task: str) -> None:
    with pytest.raises(Refused, match=r"tasks\.t\.margin: (must be|requires comparable: true:) .*got "):
        read_study(written(tmp_path, task))


def test_chances_are_never_certain() -> None:
    told = [format_chance(value).replace("\N{NO-BREAK SPACE}", " ") for value in (0.0, 0.004, 0.48, 0.994, 1.0)]
    assert told == ["under 1 %", "under 1 %", "48 %", "over 99 %", "over 99 %"]

"""A metric at its floor or ceiling in all arms: it is said first, and another metric decides."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
import pytest
from scipy import stats

from zoo.checks import Refused
from zoo.report import (
    ComparisonOptions,
    Metric,
    Run,
    Study,
    Task,
    build_study,
    build_tables,
    print_summary,
    write_report,
)
from zoo.report.charts import build_size_charts
from zoo.report.claims.across_sizes import compare_sizes
from zoo.report.claims.answer import format_answer
from zoo.report.claims.saturation import find_saturated_end
from zoo.runs.run_result import RunResult
from zoo.system.tables import Terminal

Values = Mapping[str, Sequence[float | None]]
NLL: Values = {"base": (1.30, 1.34, 1.28, 1.31), "without": (2.81, 2.80, 2.85, 2.79)}
SHARES: Values = {"base": (0.91, 0.92, 0.90, 0.93), "without": (0.41, 0.42, 0.45, 0.40)}
ZERO: Values = dict.fromkeys(NLL, (0.0, 0.0, 0.0, 0.0))


TASK = Task("t", True, ("exact_match", "loss"))


def made(task: Task = TASK, objective: str = "", **metrics: Values) -> list[Run]:
    """Two arms with four seeds."""
    runs = []
    for arm in NLL:
        for seed in range(4):
            config = {"data": "t", "objective": f"{objective} {arm}" if objective else "one", "model": arm}
            folder, own = Path(f"{arm}{seed}"), {name: values[arm][seed] for name, values in metrics.items()}
            result = RunResult(folder=folder, metrics=own)
            runs.append(Run(arm, task.name, seed, folder, config, result, None, pl.DataFrame()))
    return runs


def study(*tasks: Task) -> Study:
    return Study("s", "q", "", "base", {"base": {}, "without": {"model/residual": "none"}}, tasks)


@pytest.mark.parametrize(
    ("name", "values", "end"),
    [
        ("exact_match", [[0.0, 0.0], [0.0]], "floor"),
        ("exact_match", [[0.0, 0.004], [0.01, math.nan]], "floor"),
        ("token_accuracy", [[1.0], [0.995]], "ceiling"),
        ("bleu", [[1.0], [1.0]], "ceiling"),
        ("loss", [[0.0], [0.0]], "ceiling"),
        ("perplexity", [[1.0], [1.0]], "ceiling"),
        ("classification_accuracy", [[1 / 3, 1 / 3], [1 / 3]], "same"),  # the share of the most frequent class
        ("exact_match", [[0.0, 0.0], [0.02]], None),
        ("exact_match", [[1.0], [0.0]], None),
        ("loss", [[0.0], [1e-9]], None),
        ("loss", [[0.001], [0.002]], None),  # a loss has no upper bound that would tell how near 0 it is
        ("bleu", [[40.0], [42.0]], None),  # not in the unit that its bounds are in
        ("novel", [[1.0], [1.0]], None),
        ("exact_match", [[0.0, 0.0]], None),  # one arm: there is nothing to tell apart
        ("exact_match", [[0.0, 0.0], [math.nan]], None),
    ],
)
def test_floors_and_ceilings(name: str, values: list[list[float]], end: str | None) -> None:
    assert find_saturated_end(Metric.from_name(name), values) == end


@pytest.mark.parametrize(
    ("name", "goal", "percent", "bounds"),
    [
        ("exact_match", "higher", True, (0, 1)),
        ("masked_accuracy", "higher", True, (0, 1)),
        ("bleu", "higher", False, (0, 1)),
        ("target_nll", "lower", False, (0, math.inf)),
        ("loss", "lower", False, (0, math.inf)),
        ("perplexity", "lower", False, (1, math.inf)),
        ("novel", None, False, (-math.inf, math.inf)),
    ],
)
def test_bounds_and_goal_are_of_the_kind(name: str, goal: str, percent: bool, bounds: tuple[float, float]) -> None:
    metric = Metric.from_name(name)
    assert (metric.goal, metric.percent, metric.bounds) == (goal, percent, bounds)


def test_an_enormous_effect_is_not_denied(tmp_path: Path) -> None:
    """Exact match is 0 % everywhere; the loss differs by 1.5 nats. p is that of scipy's paired t-test."""
    task = Task("t", True, ("exact_match",), margin=1.0)
    given, runs = study(task), made(task, exact_match=ZERO, loss=NLL)
    (table,) = build_tables(given, runs)
    said = format_answer(table)
    assert said.startswith(
        "On t, exact match is at its floor in every run (0.0\N{NO-BREAK SPACE}%) and cannot distinguish the arms; "
        "loss is used instead. On t, judged by loss, without is worse than base by 1.505 ± "
    )
    assert "is decided:" not in said
    one = table.get_comparison(table.rows[1])
    assert one is not None
    p = stats.ttest_rel(NLL["without"], NLL["base"]).pvalue
    assert (one.verdict, one.margin) == ("worse", None)  # the margin was one of exact match
    assert one.adjusted_p == pytest.approx(p)
    page = write_report(given, runs, tmp_path)
    for name in ("report.html", "report.md"):
        assert "exact match is at its floor in every run" in page.with_name(name).read_text()
    (told,) = json.loads(page.with_name("report.json").read_text())["tasks"]
    assert told["saturated"]["metric"]["name"] == "exact_match"
    assert [metric["name"] for metric in told["metrics"]] == ["loss", "exact_match"]
    assert told["arms"][1]["comparison"]["adjusted_p"] == pytest.approx(p)
    line = list(csv.DictReader(page.with_name("table.csv").open()))[1]
    assert (line["verdict"], float(line["comparison"])) == ("worse", pytest.approx(1.505))
    console = Terminal(io.StringIO(), width=200)
    print_summary(given, runs, console)
    assert "at its floor" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("metrics", "given", "objective", "first"),
    [
        (("exact_match",), {"exact_match": ZERO, "target_nll": NLL, "loss": NLL}, "", "target_nll"),
        (
            ("exact_match", "bleu"),
            {"exact_match": ZERO, "bleu": SHARES, "loss": NLL},
            "",
            "bleu",
        ),  # as the study ordered
        (("exact_match", "bleu"), {"exact_match": ZERO, "bleu": ZERO, "loss": NLL}, "", "loss"),
        (("exact_match",), {"exact_match": ZERO, "loss": NLL}, "other", "exact_match"),  # losses of two objectives
        (("exact_match", "loss"), {"exact_match": ZERO, "loss": NLL}, "other", "loss"),  # which the study compares
        (("exact_match",), {"exact_match": SHARES, "loss": NLL}, "", "exact_match"),
        (("exact_match",), {"exact_match": ZERO, "loss": ZERO}, "", "exact_match"),
    ],
)
def test_what_decides_is_fixed_before_its_values_are_seen(
    metrics: tuple[str, ...], given: dict[str, Values], objective: str, first: str
) -> None:
    task = Task("t", True, metrics)
    (table,) = build_tables(study(task), made(task, objective, **given))
    assert table.metrics[0].name == first
    assert (table.saturated is not None) == (given["exact_match"] is ZERO)
    if table.saturated and first == "exact_match":
        told = "nor can any other metric of these runs. On t, judged by exact match, no comparison"
        assert told in format_answer(table)


def test_sizes_are_judged_each_by_what_tells() -> None:
    small = Task("t small", True, ("exact_match", "loss"), of="t", size="small")
    large = Task("t large", True, ("exact_match", "loss"), of="t", size="large")
    runs = [*made(small, exact_match=ZERO, loss=NLL), *made(large, exact_match=SHARES, loss=NLL)]
    tables = build_tables(study(small, large), runs)
    assert [table.metrics[0].name for table in tables] == ["loss", "exact_match"]
    (told,) = compare_sizes(tables)
    assert told.startswith("On t, the disadvantage of without holds: worse at every size (+1.50")
    assert "of loss at small, −49.5 ± " in told
    assert "of exact match at large" in told
    assert build_size_charts(study(small, large), tables) == {}  # one axis would hold two units


# ------------------------------------------------------------------------------------------------- runs of no study


def folders(tmp_path: Path, runs: Sequence[Run]) -> list[Path]:
    found = []
    for number, run in enumerate(runs):
        folder = tmp_path / str(number)
        folder.mkdir()
        config = {"model": {"residual": run.arm}, "data": {"name": "t"}, "seed": run.seed}
        (folder / "config.yaml").write_text(json.dumps(config))
        (folder / "result.json").write_text(json.dumps(run.result.as_json() if run.result else None))
        found.append(folder)
    return found


def test_runs_of_no_study_are_judged_like_a_study(tmp_path: Path) -> None:
    runs = made(exact_match=ZERO, loss=NLL, target_nll=NLL)
    places = folders(tmp_path, runs)
    found, read = build_study(places)
    assert found.tasks[0].metrics[0] == "target_nll"  # it moves
    assert build_tables(found, read)[0].family is None
    options = ComparisonOptions("residual=base", ("loss", "exact_match"), 0.1)
    found, read = build_study(places, options=options)
    (table,) = build_tables(found, read)
    (expected,) = build_tables(study(Task("t", True, ("loss", "exact_match"), margin=0.1)), runs)
    assert list(table.family.comparisons.values()) == list(expected.family.comparisons.values())  # type: ignore[union-attr]
    assert found.command.endswith("baseline=residual=base metrics=loss,exact_match margin=0.1")


def test_parts_of_a_name_are_enough_where_they_tell_one_arm(tmp_path: Path) -> None:
    places = folders(tmp_path, made(loss=NLL))
    for number, folder in enumerate(places):
        config = json.loads((folder / "config.yaml").read_text())
        (folder / "config.yaml").write_text(json.dumps({**config, "dim": 8 * (1 + number // 4), "last": number // 4}))
    found, _ = build_study(places, options=ComparisonOptions("dim=16"))
    assert found.baseline == "residual=without, dim=16, last=1"
    assert build_study(places, options=ComparisonOptions("last=1, dim=16"))[0].baseline == found.baseline
    (places[0] / "config.yaml").write_text(
        json.dumps({"model": {"residual": "base"}, "data": {"name": "t"}, "seed": 9})
    )
    with pytest.raises(
        Refused, match="baseline: 'residual=base' must identify one arm: got residual=base, dim=8, last=0; res"
    ):
        build_study(list(reversed(places)), options=ComparisonOptions("residual=base"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (ComparisonOptions("residual=bas"), "baseline: unknown arm 'residual=bas': did you mean residual=base?"),
        (ComparisonOptions(metrics=("los",)), "metrics: t has no 'los': did you mean loss?"),
    ],
)
def test_what_is_not_there_judges_nothing(options: ComparisonOptions, told: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=told.replace("?", r"\?")):
        build_study(folders(tmp_path, made(loss=NLL)), options=options)

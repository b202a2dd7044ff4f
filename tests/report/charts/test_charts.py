"""What charts draw, against numbers worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl
import pytest

from zoo.report import Run, Study, Task, build_tables
from zoo.report.charts import Chart, build_size_charts, build_task_charts, number_arms
from zoo.report.charts.style import COLORS, SHAPES, get_dash
from zoo.report.output.pictures import build_pictures
from zoo.report.records.learning_curves import aggregate_seeds, downsample
from zoo.runs.run_result import RunResult

TASK = Task("copy", True, ("exact_match", "loss"))


def run(arm: str, seed: int, *, match: float | None = 0.5, task: str = "copy", **what: Any) -> Run:
    """A finished run; ``what`` is curves, config, rate, tuning, or of the result."""
    own = {key: what.pop(key) for key in ("config", "rate", "tuning") if key in what}
    curves = pl.DataFrame(what.pop("curves", {}))
    folder = Path(f"{arm}{seed}")
    result = RunResult(folder=folder, metrics={"exact_match": match}, **what)
    return Run(arm, task, seed, folder, own.pop("config", {}), result, None, curves, (), **own)


def drawn(runs: list[Run], name: str, task: Task = TASK, **study: Any) -> Chart | None:
    """The chart of that name of a study of these runs; the first arm is the baseline."""
    arms = {one.arm: {} for one in runs}
    asked = Study("s", "q", "", study.pop("baseline", next(iter(arms))), arms, (task,), **study)
    (table,) = build_tables(asked, runs)
    return {chart.name: chart for chart in build_task_charts(asked, table, runs)}.get(name)


def rows(chart: Chart | None, view: int = 0, axis: int = 0) -> list[dict[str, Any]]:
    assert chart is not None
    values: list[dict[str, Any]] = chart.fill(view, axis)["data"]["values"]
    return values


def column(chart: Chart | None, *names: str, view: int = 0, axis: int = 0) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in rows(chart, view, axis)]


# ---------------------------------------------------------------------------------------------------------- curves


def curve(*values: float | None, first: int = 1) -> dict[str, list[float | None]]:
    steps = [float(first + i) for i in range(len(values))]
    return {
        "step": [*steps],
        "tokens": [10 * s for s in steps],
        "seconds": [*steps],
        "validation/exact_match": [*values],
    }


def test_a_curve_is_the_mean_and_range_over_seeds() -> None:
    cost = {"flops_per_token": 7}
    runs = [run("a", 1, curves=curve(0.1, 0.3), cost=cost), run("a", 2, curves=curve(0.3, math.nan), cost=cost)]
    chart = drawn(runs, "curves")
    assert column(chart, "arm", "x", "mean", "low", "high", "seeds") == [
        ("a", 1, 20, 10, 30, 2),
        ("a", 2, 30, 30, 30, 1),
    ], "shares in percent; what is not finite is in no mean"
    assert chart is not None
    assert [axis.label for axis in chart.axes] == ["steps", "training tokens", "training FLOPs", "seconds"]
    assert column(chart, "x", axis=2) == [(70,), (140,)], "tokens by FLOPs per token"


def test_curves_of_layers_and_of_tuning_are_not_among_them() -> None:
    depth = {"depth/activation/decoder/0": [1.0]}
    runs = [run("a", 1, curves=curve(0.5) | depth), run("a", 9, curves=curve(0.9), rate=0.1, tuning=True)]
    chart = drawn(runs, "curves")
    assert column(chart, "mean") == [(50,)]
    assert chart is not None
    assert [view.label for view in chart.views] == ["validation exact match (%)"]


def test_curves_are_thinned_and_gaps_kept() -> None:
    steps = [float(i) for i in range(1000)]
    values = [math.nan if step > 900 else step for step in steps]
    seeds = [pl.DataFrame({"step": steps, "loss": [value + luck for value in values]}) for luck in (0, 2)]
    band = downsample(aggregate_seeds({"a": seeds, "b": seeds[:1]}, ["loss"]), "loss", 200)
    assert band["arm"].to_list() == ["a"] * 200 + ["b"] * 200
    assert (band["step"][0], band["step"][199]) == (0, 999)
    assert (band["low loss"][0], band["loss"][0], band["high loss"][0], band["seeds loss"][0]) == (0, 1, 2, 2)
    assert (band["loss"][199], band["seeds loss"][199], band["tokens"][0]) == (None, 0, None)


def test_a_point_without_a_line_is_seen() -> None:
    chart = drawn([run("a", 1, curves=curve(0.1, 0.3)), run("b", 1, curves=curve(0.2))], "curves")
    assert column(chart, "arm", "lone") == [("a", 0), ("a", 0), ("b", 1)]


def test_a_step_written_twice_counts_once() -> None:
    seed = pl.DataFrame({"step": [1.0, 2.0, 2.0], "loss": [3.0, 9.0, 1.0]})
    assert aggregate_seeds({"a": [seed]}, ["loss"])["loss"].to_list() == [3.0, 1.0]


# ---------------------------------------------------------------------------------------------------------- forest


def test_the_forest_tells_differences_noise_and_verdict() -> None:
    base, arm = (0.50, 0.52, 0.54), (0.60, 0.63, 0.66)
    runs = [run(name, s, match=v) for name, values in (("a", base), ("b", arm)) for s, v in enumerate(values)]
    chart = drawn(runs, "forest", Task("copy", True, ("exact_match",), "", 1.5))
    (row,) = rows(chart)
    assert (row["arm"], row["against"], row["seeds"], row["mean"], row["margin"]) == ("b", "a", 3, 11, 1.5)
    assert row["gaps"] == (10, 11, 12)
    half = 4.302653 * 1 / math.sqrt(3)  # t(2) at 97.5 %, standard deviation 1
    assert (row["lowest"], row["highest"]) == pytest.approx((11 - half, 11 + half), rel=1e-4)
    assert (row["below"], row["above"]) == (-2, 2), "the standard deviation of the baseline"
    assert row["said"].startswith("better: +11.0 ±")


def test_an_interval_that_runs_off_the_forest_is_cut() -> None:
    runs = [run("a", 1, match=0.5), run("a", 2, match=0.5), run("b", 1, match=0.6), run("b", 2, match=0.7)]
    (row,) = rows(drawn(runs, "forest"))
    assert row["highest"] == pytest.approx(15 + 12.7062 * 5, rel=1e-4)
    assert (row["low"], row["high"]) == (-20, 40), "seeds and zero span 20 points, and once that on either side"


def test_the_forest_says_who_is_compared_with_whom() -> None:
    values = {"a": 0.5, "b": 0.6, "c": 0.8}
    runs = [run(arm, seed, match=value + seed / 100) for arm, value in values.items() for seed in (1, 2)]
    chart = drawn(runs, "forest", against={"c": "b"})
    assert column(chart, "name", "against", "mean") == [("b (against a)", "a", 10), ("c (against b)", "b", 20)]
    assert chart is not None
    assert chart.title == "Differences"


def test_two_changes_together_have_a_line_of_their_own() -> None:
    values = {"a": (0.1, 0.12), "b": (0.2, 0.21), "c": (0.3, 0.32), "b + c": (0.5, 0.55)}
    runs = [run(arm, seed, match=value) for arm, told in values.items() for seed, value in enumerate(told)]
    factors = {"a": ("", ""), "b": ("b", ""), "c": ("", "c"), "b + c": ("b", "c")}
    last = rows(drawn(runs, "forest", factors=factors))[-1]
    assert last["name"] == "interaction of b and c"
    assert last["gaps"] == pytest.approx((10, 14)), "(0.5 - 0.2) - (0.3 - 0.1) and (0.55 - 0.21) - (0.32 - 0.12)"


# ------------------------------------------------------------------------------------------- costs, rates, sizes


def test_costs_and_their_front() -> None:
    prices = {"a": (0.5, 100), "b": (0.7, 300), "c": (0.6, 300), "d": (0.4, 50), "e": (0.7, 400)}
    runs = [
        run(arm, s, match=match, cost={"parameters": price, "flops_per_token": 6}, tokens=10, seconds=s)
        for arm, (match, price) in prices.items()
        for s in (1, 2)
    ]
    chart = drawn(runs, "costs", baseline=None)
    assert column(chart, "arm", "x", "front") == [
        ("a", 100, 50),
        ("b", 300, 70),
        ("c", 300, None),
        ("d", 50, 40),
        ("e", 400, None),
    ], "e reaches what b does, for more"
    assert chart is not None
    labels = [axis.label for axis in chart.axes]
    assert labels[0] == "parameters", "the only cost in which arms differ comes first"
    assert {row["x"] for row in rows(chart, axis=labels.index("training FLOPs"))} == {60}
    assert {row["x"] for row in rows(chart, axis=labels.index("seconds of training"))} == {1.5}


def test_there_is_no_front_of_what_cannot_be_compared() -> None:
    runs = [run("a", 1, match=0.5, cost={"parameters": 1}), run("b", 1, match=0.6, cost={"parameters": 2})]
    chart = drawn(runs, "costs", Task("copy", False, ("exact_match",)), baseline=None)
    assert column(chart, "front") == [(None,), (None,)]


def test_rates_show_what_was_tried_what_was_taken_and_what_diverged() -> None:
    tried = [run("a", 101, match=m, rate=r, tuning=True) for r, m in ((0.1, 0.4), (0.2, 0.6), (0.4, None))]
    chart = drawn([run("a", 1, match=0.5, rate=0.2), *tried], "rates")
    assert column(chart, "x", "mean", "best", "lost") == [(0.1, 40, None, 0), (0.2, 60, 60, 0), (0.4, None, None, 1)]
    assert drawn([run("a", 1, match=0.5, rate=0.2)], "rates") is None, "nothing was tried"


def test_sizes_compare_the_differences() -> None:
    tasks = [Task(f"copy {size}", True, ("exact_match",), "", None, "copy", size) for size in ("small", "large")]
    gains = {"copy small": 0.2, "copy large": 0.05}
    runs = [
        run(arm, seed, match=0.5 + (gain if arm == "b" else 0) + seed / 100, task=task)
        for task, gain in gains.items()
        for arm in ("a", "b")
        for seed in (1, 2, 3)
    ]
    study = Study("s", "q", "", "a", {"a": {}, "b": {}}, tuple(tasks))
    charts = build_size_charts(study, build_tables(study, runs))
    assert column(charts["copy"], "arm", "x", "mean") == [("b", "small", 20), ("b", "large", 5)]
    assert build_size_charts(study, build_tables(study, runs)[:1]) == {}, "one size"


# ------------------------------------------------------------------------------------------------ length and depth


def test_scores_by_length_with_the_length_of_training() -> None:
    told = [{"8": {"exact_match": 0.9}, "16": {"exact_match": m}} for m in (0.2, 0.4)]
    config = {"data": {"name": "copy", "train_length": 8}}
    runs = [run("a", s, by_length=one, config=config) for s, one in enumerate(told)]
    chart = drawn(runs, "lengths")
    assert column(chart, "x", "mean", "low", "high") == [(8, 90, 90, 90), (16, 30, 0, 100)], "cut at 0 and 100"
    assert chart is not None
    assert '"datum": 8' in json.dumps(chart.spec)
    assert drawn([run("a", 1, by_length={"8": {"exact_match": 1.0}})], "lengths") is None


def test_depths_at_the_first_and_the_last_step() -> None:
    curves = {"step": [1.0, 2.0, 3.0]}
    for layer, values in enumerate(([1.0, None, 3.0], [2.0, None, 0.0])):
        curves[f"depth/gradient/decoder/{layer}"] = values  # type: ignore[assignment]
    more = curves | {"depth/gradient/decoder/0": [2.0, None, 5.0], "depth/gradient/decoder/1": [2.0, None, 8.0]}
    chart = drawn([run("a", 1, curves=curves), run("a", 2, curves=more)], "depths")
    assert column(chart, "x", "mean", "low", "high", "seeds") == [(1, 4, 3, 5, 2), (2, 8, 8, 8, 1)], (
        "0 has no logarithm"
    )
    assert column(chart, "x", "mean", axis=1) == [(1, 1.5), (2, 2)]


# -------------------------------------------------------------------------------------------------- all of a study


def test_every_chart_is_valid_and_embedded_once(full_study: tuple[Study, list[Run]]) -> None:
    study, runs = full_study
    tables = build_tables(study, runs)
    members = [one for one in runs if one.task == "copy small"]
    charts = [*build_task_charts(study, tables[0], members), *build_size_charts(study, tables).values()]
    assert [chart.name for chart in charts] == ["forest", "curves", "costs", "rates", "lengths", "depths", "sizes"]
    for chart in charts:
        alt.Chart.from_dict(chart.fill(), validate=True)
        told = json.loads(json.dumps(chart.to_json(), allow_nan=False))
        columns = {name: told["columns"][place] for name, place in told["views"][0]["columns"].items()}
        own = {**columns, **{to: columns[of] for to, of in told["axes"][0]["columns"].items()}}
        own["arm"] = [told["arms"][place] for place in own["arm"]]
        kept = [dict(zip(own, values, strict=True)) for values in zip(*own.values(), strict=True)]
        assert kept == json.loads(json.dumps(rows(chart))), "the page draws what a picture shows"


DEPTHS = ("depths-activations", "depths-gradients")


def test_pictures_hold_their_data_and_light_colours(full_study: tuple[Study, list[Run]]) -> None:
    study, runs = full_study
    shown = build_pictures(study, runs, build_tables(study, runs))
    kinds = ("forest", "curves", "costs-parameters", "costs-flops", "rates", "lengths", *DEPTHS)
    sizes = [f"{i}-copy-{size}-{kind}" for i, size in ((1, "small"), (2, "large")) for kind in kinds]
    assert [one.name for one in shown] == [*sizes, "1-copy-sizes"]
    alt.Chart.from_dict(shown[0].spec, validate=True)
    for one in shown:
        assert "var(--" not in json.dumps(one.spec)
        assert one.spec["width"] == 700
        assert one.spec["data"]["values"]


def test_pictures_of_many_arms_show_the_best_and_say_so() -> None:
    runs = [run(f"arm {i}", s, match=i / 100 + s / 1000, cost={"parameters": i}) for i in range(30) for s in (1, 2)]
    study = Study("s", "q", "", "arm 0", {f"arm {i}": {} for i in range(30)}, (TASK,))
    first = build_pictures(study, runs, build_tables(study, runs))[0]
    assert {row["arm"] for row in first.spec["data"]["values"]} == {f"arm {i}" for i in range(7, 30)}
    assert first.caption.endswith("The 24 best of 30 arms, the baseline among them.")


def test_arms_keep_their_looks_beyond_the_palette() -> None:
    study = Study("s", "q", "", None, {f"arm {i}": {} for i in range(9)}, (TASK,))
    assert number_arms(study)["arm 8"] == 8
    runs = [run(arm, 1, curves=curve(0.5), cost={"parameters": 1 + i}) for i, arm in enumerate(study.arms)]
    chart = drawn(runs, "costs", baseline=None)
    assert chart is not None
    text = json.dumps(chart.spec)
    shades = [f"var(--c{i % COLORS})" for i in range(9)]
    assert json.dumps(shades)[1:-1] in text
    assert json.dumps([SHAPES[0]] * 7 + [SHAPES[1]] * 2)[1:-1] in text, "colours begin again, with another shape"
    assert get_dash(8) != get_dash(1)

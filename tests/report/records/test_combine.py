"""Several studies side by side, one score for several tasks, and tasks at two sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from zoo.checks import Refused
from zoo.report import Match, Run, Study, Task, build_tables, combine_studies
from zoo.report.claims.across_sizes import compare_sizes
from zoo.report.claims.aggregate import aggregate

MakeRuns = Callable[..., list[Run]]


def studied(name: str, arms: list[str], baseline: str | None, *tasks: Task, question: str = "q") -> Study:
    return Study(name, question, "", baseline, {arm: {} for arm in arms}, tasks or (Task("t", True, ("exact_match",)),))


def values(*arms: str) -> dict[str, dict[int, float]]:
    return {arm: {seed: 0.5 + seed / 100 + i / 10 for seed in (1, 2)} for i, arm in enumerate(arms)}


def test_arms_of_one_task_stand_side_by_side(runs_of: MakeRuns) -> None:
    first, second = studied("one", ["base", "a"], "base"), studied("two", ["base", "b"], "base", question="r")
    joined, runs = combine_studies([(first, runs_of(values("base", "a"))), (second, runs_of(values("base", "b")))])
    assert (joined.name, joined.question, joined.baseline) == ("one and two", "one: q two: r", "base")
    assert joined.command == "zoo report one two"
    assert [task.name for task in joined.tasks] == ["t"]
    assert list(joined.arms) == ["base", "a", "b"]
    assert [(run.arm, run.seed) for run in runs] == [(arm, seed) for arm in ("base", "a", "b") for seed in (1, 2)]
    (table,) = build_tables(joined, runs)
    assert [(row.arm, row.done) for row in table.rows] == [("base", 2), ("a", 2), ("b", 2)]


def test_arms_that_share_only_a_name_are_told_apart(runs_of: MakeRuns) -> None:
    first, second = studied("one", ["base", "a"], "base"), studied("two", ["base", "a"], "base")
    moved = Match("parameters", "hidden", 1, 2, 3, 4)
    first = replace(first, against={"a": "base"}, matches={("a", "t"): moved}, not_applicable=(("base", "x", "why"),))
    other = [replace(run, config={**run.config, "steps": 9}) for run in runs_of(values("base", "a"))]
    joined, runs = combine_studies([(first, runs_of(values("base", "a"))), (second, other)])
    assert list(joined.arms) == ["one: base", "one: a", "two: base", "two: a"]
    assert joined.baseline is None, "they do not share it"
    assert joined.against == {"one: a": "one: base"}
    assert joined.matches == {("one: a", "t"): moved}
    assert joined.not_applicable == (("one: base", "x", "why"),)
    assert len(runs) == 8
    assert len(build_tables(joined, runs)[0].rows) == 4


def test_tasks_of_other_data_or_metrics_are_told_apart(runs_of: MakeRuns) -> None:
    first = studied("one", ["a"], "a")
    longer = [replace(run, config={**run.config, "data": {"name": "t", "length": 9}}) for run in runs_of(values("a"))]
    joined, runs = combine_studies([(first, runs_of(values("a"))), (studied("two", ["a"], "a"), longer)])
    assert [task.name for task in joined.tasks] == ["one: t", "two: t"]
    assert (list(joined.arms), joined.baseline) == (["a"], "a"), "on no task of both do they differ"
    assert {run.task for run in runs} == {"one: t", "two: t"}
    other = studied("two", ["a"], "a", Task("t", True, ("loss",)))
    assert [task.name for task in combine_studies([(first, []), (other, [])])[0].tasks] == ["one: t", "two: t"]


def test_the_same_run_counts_once_and_a_result_goes_before_none(runs_of: MakeRuns) -> None:
    done = runs_of(values("a"))
    waiting = [replace(run, result=None, folder=Path("elsewhere")) for run in done]
    for order in ([waiting, done], [done, waiting]):
        _, runs = combine_studies([(studied(str(i), ["a"], "a"), part) for i, part in enumerate(order)])
        assert [run.result for run in runs] == [run.result for run in done]


def test_what_studies_do_not_agree_on_claims_less() -> None:
    tasks = [Task("t", True, ("exact_match",), margin=1.0), Task("t", False, ("exact_match",), "n", margin=2.0)]
    parts = [
        (replace(studied("s", ["a"], "a", task), until_decided=i == 1, max_seeds=20 * i), [])
        for i, task in enumerate(tasks)
    ]
    joined, _ = combine_studies(parts)
    (task,) = joined.tasks
    assert (task.comparable, task.margin, joined.until_decided, joined.max_seeds) == (False, None, True, 20)
    assert task.note == "n The studies set different margins of equivalence, so none is used."
    assert joined.name == "s and s (2)"


def test_no_study_is_refused() -> None:
    with pytest.raises(Refused, match="at least one study: got none"):
        combine_studies([])


# ------------------------------------------------------------------------------------------------------- all tasks

TASKS = (Task("t", True, ("exact_match",)), Task("u", True, ("token_accuracy",)), Task("v", True, ("loss",)))


def test_the_score_of_all_tasks_is_the_interquartile_mean(runs_of: MakeRuns) -> None:
    generator = np.random.default_rng(0)
    scores = {(arm, t): generator.uniform(0.2, 0.6, 5) + (arm == "b") * 0.3 for arm in ("a", "b") for t in ("t", "u")}
    told = {t: {arm: dict(enumerate(scores[arm, t].tolist())) for arm in ("a", "b")} for t in ("t", "u")}
    told["t"]["c"] = {0: 0.1}
    runs = [*runs_of(told["t"], "t"), *runs_of(told["u"], "u", "token_accuracy"), *runs_of(told["t"], "v", "loss")]
    found = aggregate(build_tables(studied("s", ["a", "b", "c"], None, *TASKS), runs))
    assert found is not None
    assert found.tasks == {"t": "exact match", "u": "token accuracy"}
    for arm in ("a", "b"):
        flat = np.concatenate([scores[arm, "t"], scores[arm, "u"]])
        assert found.scores[arm].mean == pytest.approx(stats.trim_mean(flat, 0.25))
        assert found.scores[arm].low < found.scores[arm].mean < found.scores[arm].high
    assert found.left_out == ("c",)
    lead = "Aggregated over 2 tasks, b has the highest score, and its interval overlaps with no other: "
    assert found.sentence.startswith(lead)
    assert "left out: c." in found.note


def test_one_share_is_no_suite_and_a_diverged_run_counts_as_nothing(runs_of: MakeRuns) -> None:
    runs = [*runs_of(values("a"), "t"), *runs_of({"a": {1: None, 2: 0.4, 3: 0.4, 4: 0.4}}, "u", "token_accuracy")]
    study = studied("s", ["a"], None, *TASKS[:2])
    found = aggregate(build_tables(study, runs))
    assert found is not None
    assert found.scores["a"].mean == pytest.approx(stats.trim_mean([0.51, 0.52, 0.0, 0.4, 0.4, 0.4], 0.25))
    assert found.sentence.endswith(").")
    assert aggregate(build_tables(replace(study, tasks=TASKS[:1]), runs_of(values("a"), "t"))) is None
    apart = replace(study, tasks=(TASKS[0], replace(TASKS[1], comparable=False)))
    assert aggregate(build_tables(apart, runs)) is None


# ----------------------------------------------------------------------------------------------------------- sizes


def test_what_is_gained_at_one_size_survives_or_not(runs_of: MakeRuns) -> None:
    tasks = tuple(Task(f"t {size}", True, ("exact_match",), of="t", size=size) for size in ("small", "large"))
    generator = np.random.default_rng(2)
    gains = {"stays": (0.2, 0.1), "turns": (0.2, -0.2), "fades": (0.2, 0.001), "never": (0.001, 0.001)}
    runs = []
    for place, task in enumerate(tasks):
        base = {seed: 0.5 + generator.normal(0, 0.01) for seed in range(5)}
        arms = {arm: {s: v + g[place] + generator.normal(0, 0.01) for s, v in base.items()} for arm, g in gains.items()}
        runs += runs_of({"base": base, **arms}, task.name)
    told = compare_sizes(build_tables(studied("s", ["base", *gains], "base", *tasks), runs))
    assert [sentence.split(":")[0] for sentence in told] == [
        "On t, the gain of stays holds",
        "On t, the gain of turns does not hold",
        "On t, the gain of fades is certain at small only",
    ]
    assert "better at every size (+" in told[0]
    assert ", worse at large (−" in told[1]
    assert compare_sizes(build_tables(studied("s", ["base", *gains], "base", tasks[0]), runs[: len(runs) // 2])) == []

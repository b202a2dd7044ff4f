"""Who is compared with whom: arms of a path, two factors, seeds added until there is a verdict, learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from zoo.checks import Refused
from zoo.report import Run, Study, Table, Task, build_tables
from zoo.report.claims.answer import format_answer
from zoo.report.claims.verdicts import format_design
from zoo.report.records.caveats import format_energy, list_warnings
from zoo.report.records.contrasts import find_interactions, find_references
from zoo.statistics import compute_paired_difference, run_sequential_test

MakeRuns = Callable[..., list[Run]]
Values = dict[str, dict[int, float]]
SEEDS = range(1, 7)


def drawn(gains: dict[str, float], seed: int = 0, spread: float = 0.01) -> Values:
    generator = np.random.default_rng(seed)
    luck = generator.normal(0, 0.03, len(SEEDS))
    noise = {arm: generator.normal(0, spread, len(SEEDS)) for arm in gains}
    return {
        arm: {s: float(0.5 + luck[i] + gain + noise[arm][i]) for i, s in enumerate(SEEDS)}
        for arm, gain in gains.items()
    }


def studied(arms: Values, baseline: str | None = None, metric: str = "exact_match", **more: object) -> Study:
    task = Task("t", True, (metric,))
    return replace(Study("s", "q", "", baseline, {arm: {} for arm in arms}, (task,)), **more)  # type: ignore[arg-type]


def table_of(study: Study, runs: list[Run]) -> Table:
    (table,) = build_tables(study, runs)
    return table


def gaps(values: Values, one: str, other: str) -> np.ndarray:
    return np.array([values[one][seed] - values[other][seed] for seed in SEEDS])


def holm(raw: dict[str, float]) -> dict[str, float]:
    """By its definition: each p times how many are left, never below one before it."""
    adjusted, worst = {}, 0.0
    for rank, (name, p) in enumerate(sorted(raw.items(), key=lambda item: item[1])):
        worst = max(worst, min(1.0, (len(raw) - rank) * p))
        adjusted[name] = worst
    return adjusted


# ------------------------------------------------------------------------------------------------- other baselines


def test_each_arm_is_compared_with_its_own_in_one_family(runs_of: MakeRuns) -> None:
    values = drawn({"gpt": 0.0, "+ rms": 0.05, "+ rotary": 0.06, "full": 0.1})
    steps = {"+ rms": "gpt", "+ rotary": "+ rms", "full": "+ rotary"}
    study = studied(values, "gpt", against={"+ rotary": "+ rms", "full": "+ rotary"})
    table = table_of(study, runs_of(values))
    assert {row.arm: row.against for row in table.rows} == {"gpt": "", **steps}
    assert table.others == ("gpt", "+ rms", "+ rotary")
    assert table.family is not None
    raw = {
        arm: stats.ttest_rel(list(values[arm].values()), list(values[other].values())).pvalue
        for arm, other in steps.items()
    }
    for arm, adjusted in holm(raw).items():
        assert table.family.comparisons[arm].adjusted_p == pytest.approx(adjusted)
    rows = {row.arm: row for row in table.rows}
    assert rows["full"].cells[0].difference == compute_paired_difference(values["full"], values["+ rotary"])
    assert rows["gpt"].cells[0].difference is None
    assert "+ rms beats gpt by " in format_answer(table)
    assert "full beats + rotary by " in format_answer(table)
    assert "corrected for 3 comparisons" in format_design(table)


def test_who_is_compared_with_whom() -> None:
    assert find_references("a", {"c": "b"}, ["a", "b", "c"]) == {"b": "a", "c": "b"}
    assert find_references(None, {"c": "b"}, ["a", "b", "c"]) == {"c": "b"}
    assert find_references("a", {"c": "b"}, ["a", "c"]) == {"c": "a"}, (
        "b does not apply, and would have been compared with a"
    )
    assert find_references("a", {"c": "b"}, ["b", "c"]) == {"c": "b"}, "neither is a"
    assert find_references("a", {"a": "b"}, ["a", "b"]) == {"b": "a"}


def test_an_arm_against_a_stranger_is_refused(runs_of: MakeRuns) -> None:
    values = drawn({"gpt": 0.0, "rms": 0.1})
    with pytest.raises(Refused, match=r"rms: unknown reference 'gtp'; did you mean gpt\?"):
        build_tables(studied(values, "gpt", against={"rms": "gtp"}), runs_of(values))


# ------------------------------------------------------------------------------------------------------ two factors

FACTORS = {"base": ("", ""), "rms": ("rms", ""), "rotary": ("", "rotary"), "both": ("rms", "rotary")}


def test_an_interaction_is_the_difference_of_differences(runs_of: MakeRuns) -> None:
    values = drawn({"base": 0.0, "rms": 0.05, "rotary": 0.05, "both": 0.2})
    table = table_of(studied(values, "base", factors=FACTORS), runs_of(values))
    assert table.family is not None
    (found,) = table.family.interactions
    assert (found.both, found.one, found.other) == ("both", "rms", "rotary")
    contrast = gaps(values, "both", "rms") - gaps(values, "rotary", "base")
    test = stats.ttest_1samp(contrast, 0.0)
    interval = test.confidence_interval()
    assert found.comparison.p == pytest.approx(test.pvalue)
    assert found.comparison.interval is not None
    assert (found.comparison.interval.low, found.comparison.interval.high) == pytest.approx(
        (interval.low, interval.high)
    )
    raw = {arm: stats.ttest_1samp(gaps(values, arm, "base"), 0.0).pvalue for arm in ("rms", "rotary", "both")}
    adjusted = holm({**raw, "×": test.pvalue})
    assert table.family.size == 4
    assert found.comparison.adjusted_p == pytest.approx(adjusted["×"]), "one family with the arms"
    assert table.family.comparisons["rms"].adjusted_p == pytest.approx(adjusted["rms"])
    assert "; the joint effect of rms and rotary is " in format_answer(table)
    assert "points better than the sum of their separate effects (adjusted p " in format_answer(table)


@pytest.mark.parametrize(("metric", "word"), [("exact_match", "worse"), ("loss", "better")])
def test_a_negative_interaction_is_worse_unless_lower_is_better(runs_of: MakeRuns, metric: str, word: str) -> None:
    values = drawn({"base": 0.0, "rms": 0.1, "rotary": 0.1, "both": 0.05})
    study = studied(values, "base", metric, factors=FACTORS)
    told = format_answer(table_of(study, runs_of(values, metric=metric)))
    assert f" {word} than the sum of their separate effects (" in told


def test_interactions_are_told_as_they_are_known(runs_of: MakeRuns) -> None:
    values = drawn({"base": 0.0, "rms": 0.05, "rotary": 0.05, "both": 0.1}, seed=3)
    study = studied(values, "base", factors=FACTORS)
    assert "the interaction of rms and rotary is undecided (" in format_answer(table_of(study, runs_of(values)))
    lost = {**values, "rms": {**values["rms"], 2: math.nan}}
    assert "the interaction of rms and rotary is not known." in format_answer(table_of(study, runs_of(lost)))
    close = replace(study, tasks=(replace(study.tasks[0], margin=6.0),))
    told = format_answer(table_of(close, runs_of(values))).replace("\N{NO-BREAK SPACE}", " ")
    assert "the effects of rms and rotary are additive within 6.0 points (" in told


def test_only_whole_squares_interact() -> None:
    levels = {**FACTORS, "both2": ("rms", "alibi"), "dyt": ("dyt", "")}
    assert find_interactions("base", levels, levels) == [("both", "rms", "rotary")], "alibi is nowhere alone"
    assert find_interactions("base", FACTORS, ["rms", "rotary", "both"]) == []
    assert find_interactions("base", FACTORS, ["base", "rms", "both"]) == []


# ------------------------------------------------------------------------------------------ seeds until a verdict


def test_seeds_until_decided_are_judged_by_the_sequential_rule(runs_of: MakeRuns) -> None:
    values = drawn({"base": 0.0, "up": 0.2, "same": 0.0})
    study = studied(values, "base", until_decided=True, max_seeds=6)
    table = table_of(study, runs_of(values))
    assert table.family is not None
    for arm in ("up", "same"):
        look = run_sequential_test(list(gaps(values, arm, "base")), most=6, higher_is_better=True, arms=2)
        one = table.family.comparisons[arm]
        assert (one.verdict, one.pairs) == (look.verdict, look.pairs)
        assert one.interval == look.interval
    told = format_answer(table)
    assert "up beats base by " in told
    assert f"(decided after {table.family.comparisons['up'].pairs} seeds)" in told
    assert "the maximum of 6 seeds is reached)" in told
    assert "Rule: seeds were added until each comparison had a verdict, up to 6." in format_design(table)
    assert "2310.03722" in format_design(table)
    assert "Smallest detectable" not in format_design(table)


def test_a_look_ends_at_the_first_seed_that_has_not_ended(runs_of: MakeRuns) -> None:
    values = drawn({"base": 0.0, "up": 0.2})
    study = studied(values, "base", until_decided=True, max_seeds=6)
    running = {**values, "up": {**values["up"], 3: ...}}
    table = table_of(study, runs_of(running))
    assert table.family is not None
    assert table.family.comparisons["up"].pairs == 2
    assert "up has no verdict against base yet (+" in format_answer(table)
    assert "; 2 of at most 6 seeds so far)" in format_answer(table)


# -------------------------------------------------------------------------------------------- which runs are judged


def test_runs_that_chose_a_learning_rate_are_in_no_table(runs_of: MakeRuns) -> None:
    values = drawn({"a": 0.0, "b": 0.1})
    tuned = [replace(run, rate=0.003) for run in runs_of(values)]
    tries = [replace(run, seed=101, rate=rate, tuning=True) for run in tuned[:1] for rate in (0.001, 0.003)]
    table = table_of(studied(values, "a"), [*tries, *tuned])
    assert table == table_of(studied(values, "a"), tuned)
    assert [(row.planned, row.rate) for row in table.rows] == [(6, 0.003), (6, 0.003)]


def test_stale_runs_are_never_mixed_with_new_ones(runs_of: MakeRuns) -> None:
    values = drawn({"a": 0.0, "b": 0.1})
    runs = [replace(run, stale=run.seed <= 2) for run in runs_of(values)]
    table = table_of(studied(values, "a"), runs)
    assert [(row.done, row.stale, set(row.cells[0].values)) for row in table.rows] == [(4, 2, {3, 4, 5, 6})] * 2
    assert (
        "4 results were computed with a different version of the code or data; run the study again."
        in format_answer(table)
    )
    whole = table_of(studied(values, "a"), [replace(run, stale=True) for run in runs])
    assert [(row.done, row.stale) for row in whole.rows] == [(6, 6)] * 2, "all are old: they are judged, and it is said"
    assert "12 results were computed with a different version of the code" in format_answer(whole)
    version = "4 results were computed with a different version of the code or data"
    said = f"{version}; stale results are left out. Run the study again."
    assert list_warnings(runs)[0] == said
    assert "; all results in this report are stale." in list_warnings([replace(run, stale=True) for run in runs])[0]


def test_a_run_that_diverged_has_no_value_though_it_ended_with_one(runs_of: MakeRuns) -> None:
    values = drawn({"a": 0.0, "b": 0.1})
    runs = runs_of(values)
    runs[6:8] = runs_of({"b": {1: 0.6, 2: 0.6}}, diverged=True)
    table = table_of(studied(values, "a"), runs)
    assert table.family is not None
    assert (table.rows[1].diverged, table.family.comparisons["b"].verdict) == (2, "diverged")


def test_costs_are_those_of_the_runs(runs_of: MakeRuns) -> None:
    values = drawn({"a": 0.0})
    cost = {"parameters": 10, "active_parameters": 6, "cache_bytes": 1536, "length": 12, "peak_memory_bytes": 100.0}
    runs = runs_of(values, cost=dict(cost), seconds=4.0, energy_joules=None)
    assert runs[0].result is not None
    cost |= {"peak_memory_bytes": 130.0}
    most = replace(runs[0].result, cost=cost, seconds=10.0, energy_joules=7.0)
    (row,) = table_of(studied(values), [replace(runs[0], result=most), *runs[1:]]).rows
    assert (row.parameters, row.active_parameters, row.cache_bytes_per_token) == (10, 6, 128.0)
    assert (row.peak_memory, row.seconds, row.energy) == (130.0, 5.0, 7.0)
    known = [replace(run, result=most) for run in runs[:2]]
    assert format_energy(known) == "3.89e-06\N{NO-BREAK SPACE}kWh", "14 joules of 3.6 million"
    assert format_energy([*known, runs[2]]).endswith("kWh (reported by 2 of 3 runs)")
    assert format_energy(runs) == ""
    (bare,) = table_of(studied(values), runs_of(values, cost={"cache_bytes": None, "length": 12})).rows
    assert (bare.cache_bytes_per_token, bare.energy, bare.peak_memory) == (None, None, None)

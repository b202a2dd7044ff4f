"""Which runs are due at which results: learning rates first, then seeds until there is a verdict."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.checks import Refused
from zoo.config.checking import CheckedConfig
from zoo.report import Metric
from zoo.runs.config_sections import ComponentConfig, ModelConfig
from zoo.runs.run_config import RunConfig
from zoo.runs.run_result import RunResult
from zoo.runs.state_files import read_config
from zoo.statistics import run_sequential_test
from zoo.statistics.trial import run_trial
from zoo.study.cells import learning_rates
from zoo.study.cells.expansion import Expansion
from zoo.study.cells.known_cells import list_known_cells
from zoo.study.cells.learning_rates import ChosenRate, choose_rate
from zoo.study.cells.outcomes import Outcome
from zoo.study.cells.seed_counts import FIRST_SEEDS
from zoo.study.plan.cell import Cell, Setting
from zoo.study.plan.controls import Rates
from zoo.study.plan.study_plan import StudyPlan
from zoo.study.plan.tasks import TaskPlan

LOSS = TaskPlan("task", ("loss",), True, "", {})
SEEDS = tuple(range(1, 21))
CONFIG = RunConfig.from_mapping(read_config(Path(__file__).parents[2] / "runs" / "run_config.yaml"))


def plan(arms: Sequence[str] = ("base", "a"), **over: Any) -> StudyPlan:
    given = {"seeds": (1, 2), "tasks": (LOSS,), **over}
    named = {arm: {} for arm in arms}
    return StudyPlan("s", Path("s"), "?", "", "base", overrides={}, arms=named, **given)


def expanded(of: StudyPlan, left_out: Mapping[str, set[int]] | None = None) -> Expansion:
    def setting(task: str, arm: str) -> Setting:
        config = replace(CONFIG, model=ModelConfig({"arm": arm, "task": task}))
        return Setting(arm, task, (), CheckedConfig(config, None, ()), frozenset((left_out or {}).get(arm, ())))

    return Expansion(tuple(setting(task.name, arm) for task in of.tasks for arm in of.arms))


def played(of: StudyPlan, value: Callable[[Cell], Outcome], expansion: Expansion | None = None) -> list[list[Cell]]:
    """The cells of each round, if all that are due end before one looks again."""
    ended: dict[Any, Outcome] = {}
    rounds: list[list[Cell]] = []
    before = math.inf

    def look(cell: Cell) -> Outcome:
        return ended.get(key(cell))

    while True:
        found = list_known_cells(of, expansion or expanded(of), look)
        new = [cell for cell in found.cells if key(cell) not in ended]
        assert len(found.cells) + found.more <= before  # what is told of later never grows
        before = len(found.cells) + found.more
        if not new:
            assert found.more == 0
            return rounds
        rounds.append(new)
        ended |= {key(cell): value(cell) for cell in new}


def key(cell: Cell) -> tuple[Any, ...]:
    return cell.task, cell.arm, cell.seed, cell.rate, cell.tuning


def names(cells: Sequence[Cell]) -> list[str]:
    return [f"{cell.arm} {cell.seed}" + ("" if cell.rate is None else f" {cell.rate:g}") for cell in cells]


# ------------------------------------------------------------------------------------------------------- plain


def test_all_seeds_are_due_at_once() -> None:
    found = list_known_cells(plan(), expanded(plan()), lambda cell: None)
    assert names(found.cells) == ["base 1", "base 2", "a 1", "a 2"]
    assert (found.more, found.notes) == (0, {"task": ()})


def test_seeds_that_are_left_out_are_not_due() -> None:
    found = list_known_cells(plan(), expanded(plan(), {"a": {2}}), lambda cell: None)
    assert names(found.cells) == ["base 1", "base 2", "a 1"]


# ---------------------------------------------------------------------------------------------- learning rates

RATES = Rates((0.1, 0.3, 1.0), (101, 102))


def test_the_runs_of_an_arm_follow_at_its_best_rate() -> None:
    """One arm is done with choosing before the other: its runs do not wait."""
    of, values = plan(rates=RATES), {("base", 0.1): 3.0, ("base", 0.3): 1.0, ("base", 1.0): 2.0}
    tuning = [f"{arm} {seed} {rate:g}" for arm in ("base", "a") for rate in RATES.values for seed in RATES.seeds]
    first = list_known_cells(of, expanded(of), lambda cell: None)
    assert names(first.cells) == tuning
    assert all(cell.tuning for cell in first.cells)
    assert first.more == 4
    then = list_known_cells(
        of, expanded(of), lambda cell: values.get((cell.arm, cell.rate or 0)) if cell.tuning else None
    )
    assert names(then.cells) == [*tuning, "base 1 0.3", "base 2 0.3"]
    assert then.more == 2
    run = then.cells[-1]
    assert not run.tuning
    assert run.overrides == ("seed=2", "optimizer.lr=0.3")
    assert run.checked.config.optimizer.arguments["lr"] == 0.3


@pytest.mark.parametrize(
    ("tried", "metric", "chosen"),
    [
        ({0.1: [3.0, 1.0], 0.3: [1.5, 1.5], 1.0: [2.0, 2.0]}, "loss", ChosenRate(0.3)),
        ({0.1: [0.1], 0.3: [0.3], 1.0: [0.2]}, "accuracy", ChosenRate(0.3)),
        ({0.3: [1.0], 0.1: [2.0], 1.0: [1.0]}, "loss", ChosenRate(0.3)),  # equals: the smaller
        ({0.1: [2.0, 2.0], 0.3: [1.0, math.nan], 1.0: [3.0, 3.0]}, "loss",
         ChosenRate(0.1, "The best learning rate of a, 0.1, is the smallest tried.")),
        ({0.1: [2.0], 1.0: [1.0]}, "loss", ChosenRate(1.0, "The best learning rate of a, 1, is the largest tried.")),
        ({0.1: [math.nan], 0.3: [9.0], 1.0: [math.inf]}, "loss", ChosenRate(0.3)),
        ({0.3: [math.nan], 0.1: [math.nan]}, "loss",
         ChosenRate(0.1, "No run of a at the learning rates 0.1, 0.3 has a value: its other runs use 0.1.")),
        ({0.1: [1.0]}, "loss", ChosenRate(0.1)),
    ],
)  # fmt: skip
def test_the_best_rate(tried: dict[float, list[float]], metric: str, chosen: ChosenRate) -> None:
    assert choose_rate("a", tried, Metric.from_name(metric)) == chosen


def test_a_rate_is_not_chosen_by_a_metric_at_its_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact match is 0 at every rate, so that the smallest would win; the loss is best at 0.3."""
    tasks = (TaskPlan("task", ("exact_match",), True, "", {}),)
    of = plan(rates=RATES, tasks=tasks)

    class Folder:
        def __init__(self, checked: CheckedConfig) -> None:
            rate = checked.config.optimizer.arguments["lr"]
            metrics = {"exact_match": 0.0, "loss": abs(rate - 0.3)}
            self.read_result = lambda: RunResult(folder=Path(), metrics=metrics)

    monkeypatch.setattr(learning_rates, "run_folder", Folder)
    found = list_known_cells(of, expanded(of), lambda cell: 0.0 if cell.tuning else None)
    assert {cell.rate for cell in found.cells if not cell.tuning} == {0.3}
    told = "The learning rate of a was chosen by loss: exact match is at its floor at all rates."
    assert told in found.notes["task"]
    apart = list_known_cells(of, expanded(of), lambda cell: cell.rate if cell.tuning else None)
    assert {cell.rate for cell in apart.cells if not cell.tuning} == {1.0}


def test_a_metric_without_a_better_way_chooses_nothing() -> None:
    with pytest.raises(Refused, match="learning_rates: a metric must tell which way is better: got sparsity"):
        choose_rate("a", {0.1: [1.0]}, Metric.from_name("sparsity"))


def test_runs_that_failed_or_diverged_lose_and_that_is_told() -> None:
    of = plan(rates=RATES)

    def value(cell: Cell) -> Outcome:
        return "lost" if cell.arm == "a" else math.nan if cell.rate == 0.1 else cell.rate

    rounds = played(of, value)
    assert names(rounds[1]) == ["base 1 0.3", "base 2 0.3", "a 1 0.1", "a 2 0.1"]
    assert list_known_cells(of, expanded(of), value).notes == {
        "task": ("No run of a at the learning rates 0.1, 0.3, 1 has a value: its other runs use 0.1.",)
    }


# ---------------------------------------------------------------------------------------- seeds until a verdict


def test_seeds_follow_one_by_one_until_each_arm_has_a_verdict() -> None:
    """One arm is far off, one is never told from the baseline, one diverges late."""
    draw = np.random.default_rng(0).normal(size=(4, 21))
    of = plan(["base", "far", "near", "wild"], seeds=tuple(range(1, 9)), until_decided=True)

    def value(cell: Cell) -> float:
        wild = cell.arm == "wild" and cell.seed == 6
        return math.nan if wild else float(draw[list(of.arms).index(cell.arm), cell.seed] + 9 * (cell.arm == "far"))

    rounds = played(of, value)
    ran = {arm: [cell.seed for cells in rounds for cell in cells if cell.arm == arm] for arm in of.arms}
    differences = [float(draw[1, seed] + 9 - draw[0, seed]) for seed in of.seeds]
    decided = run_sequential_test(differences, most=8, higher_is_better=False, arms=3).pairs
    assert FIRST_SEEDS <= decided < 8
    assert ran == {
        "base": list(of.seeds), "far": list(range(1, decided + 1)), "near": list(of.seeds), "wild": [1, 2, 3, 4, 5, 6]
    }  # fmt: skip
    assert len(rounds[0]) == 4 * FIRST_SEEDS
    assert all(Counter(cell.arm for cell in cells).most_common(1)[0][1] == 1 for cells in rounds[1:])


@pytest.mark.parametrize(
    ("effects", "seeds"),
    [
        ({"base": 0, "b": 50, "c": 100}, {"base": FIRST_SEEDS, "b": FIRST_SEEDS, "c": FIRST_SEEDS}),
        ({"base": 0, "b": 0, "c": 50}, {"base": 7, "b": 7, "c": FIRST_SEEDS}),
        ({"base": 0, "b": 50, "c": 50}, {"base": FIRST_SEEDS, "b": 7, "c": 7}),
    ],
)
def test_a_partner_gets_the_seeds_that_a_trial_needs(effects: dict[str, float], seeds: dict[str, int]) -> None:
    """A chain: each is compared with the one before it."""
    of = plan(list(effects), seeds=tuple(range(1, 8)), until_decided=True, against={"c": "b"})
    draw = np.random.default_rng(1).normal(size=(3, 9))
    rounds = played(of, lambda cell: float(draw[list(effects).index(cell.arm), cell.seed]) + effects[cell.arm])
    assert Counter(cell.arm for cells in rounds for cell in cells) == seeds


def test_two_factors_get_seeds_until_it_is_known_what_they_bring_together() -> None:
    """Each arm is far from the baseline, and together they bring what they bring apart."""
    factors = {"base": ("", ""), "a": ("x", ""), "b": ("", "y"), "ab": ("x", "y")}
    effects = {"base": 0, "a": 50, "b": 70, "ab": 120}
    of = plan(list(factors), seeds=tuple(range(1, 8)), until_decided=True, factors=factors)
    draw = np.random.default_rng(1).normal(size=(4, 9))
    rounds = played(of, lambda cell: float(draw[list(effects).index(cell.arm), cell.seed]) + effects[cell.arm])
    assert Counter(cell.arm for cells in rounds for cell in cells) == dict.fromkeys(effects, 7)
    effects["ab"] = 300
    rounds = played(of, lambda cell: float(draw[list(effects).index(cell.arm), cell.seed]) + effects[cell.arm])
    assert max(Counter(cell.arm for cells in rounds for cell in cells).values()) < 7


def test_seeds_that_are_lost_or_left_out_are_in_no_pair_and_end_nothing() -> None:
    of = plan(seeds=tuple(range(1, 7)), until_decided=True)
    rounds = played(of, lambda cell: "lost" if cell.arm == "a" else 1.0 * cell.seed)
    assert [names(cells) for cells in rounds[1:]] == [["base 5", "a 5"], ["base 6", "a 6"]]
    rounds = played(of, lambda cell: float(cell.seed**2), expanded(of, {"a": {1, 5}}))
    assert [names(cells) for cells in rounds[1:]] == [["base 5"], ["base 6", "a 6"]]


def test_until_decided_with_rates_waits_for_the_rates() -> None:
    of = plan(seeds=SEEDS, until_decided=True, rates=Rates((0.1, 0.3), (101,)))
    found = list_known_cells(of, expanded(of), lambda cell: cell.rate if cell.arm == "base" and cell.tuning else None)
    assert [cell.arm for cell in found.cells if not cell.tuning] == ["base"] * FIRST_SEEDS
    assert found.more == 2 * 20 - FIRST_SEEDS


@pytest.mark.parametrize(
    ("change", "got"),
    [
        ({"tasks": (replace(LOSS, comparable=False),)}, "got baseline=base, comparable=False, metric=loss"),
        ({"tasks": (replace(LOSS, metrics=("sparsity",)),)}, "got baseline=base, comparable=True, metric=sparsity"),
    ],
)
def test_what_no_seed_would_decide_is_refused(change: dict[str, Any], got: str) -> None:
    of = plan(until_decided=True, **change)
    with pytest.raises(Refused, match=f"seeds: until_decided asks for a baseline, and on task task .*: {got}"):
        list_known_cells(of, expanded(of), lambda cell: None)


@pytest.mark.parametrize(
    ("results", "seeds", "note"),
    [
        (
            lambda arm, seed: {
                "metrics": {"exact_match": 0.0, "loss": seed + (50.0 + 0.1 * (seed * 7 % 5) if arm == "a" else 0.0)}
            },
            FIRST_SEEDS,
            "Seeds are added until loss decides, by which the arms are judged instead of exact match.",
        ),
        (
            lambda arm, seed: {
                "metrics": {"loss": seed + (50.0 + 0.1 * (seed * 7 % 5) if arm == "a" else 0.0)},
                "withheld": {"exact_match": "there is none"},
            },
            FIRST_SEEDS,
            "Seeds are added until loss decides, by which the arms are judged instead of exact match.",
        ),
        (
            lambda arm, seed: {"metrics": {"exact_match": 0.0, "loss": 1.0 + (seed * 7 + len(arm)) % 5}},
            8,
            "Seeds are added until loss decides, by which the arms are judged instead of exact match.",
        ),
        (
            lambda arm, seed: {
                "metrics": {"exact_match": 0.5 + 0.01 * seed, "loss": 1.0},
                "text_lost": {"validation": 0.5 if arm == "a" else 0.0},
            },
            FIRST_SEEDS,
            f"No seeds follow the first {FIRST_SEEDS}, for the arms are not compared.",
        ),
    ],
)
def test_seeds_go_by_the_metric_that_the_report_judges_by(
    results: Callable[[str, int], dict[str, Any]], seeds: int, note: str, tmp_path: Path
) -> None:
    """It is at its floor, or withheld; arms that the report does not compare get no further seeds."""
    task = replace(LOSS, metrics=("exact_match", "loss"))
    of = plan(seeds=tuple(range(1, 9)), until_decided=True, tasks=(task,))

    def setting(arm: str) -> Setting:
        tokenizer = ComponentConfig(arm if "compared" in note else "bytes", {})
        data = replace(CONFIG.data, tokenizer=tokenizer)
        config = replace(CONFIG, model=ModelConfig({"arm": arm}), data=data, runs=str(tmp_path))
        return Setting(arm, task.name, (), CheckedConfig(config, None, ()))

    expansion = Expansion(tuple(map(setting, of.arms)))

    def value(cell: Cell) -> Outcome:
        result = results(cell.arm, cell.seed)
        cell.folder.path.mkdir(parents=True, exist_ok=True)
        (cell.folder.path / "result.json").write_text(json.dumps(result))
        outcome: Outcome = result["metrics"].get("exact_match", "lost")
        return outcome

    ran = [cell for cells in played(of, value, expansion) for cell in cells]
    assert Counter(cell.arm for cell in ran) == {"base": seeds, "a": seeds}
    known = {key(cell): value(cell) for cell in ran}
    assert list_known_cells(of, expansion, lambda cell: known.get(key(cell))).notes == {"task": (note,)}


def simulated(effects: Mapping[str, float], seed: int, **over: Any) -> tuple[dict[str, int], dict[str, str]]:
    """Seeds and verdict of each arm; noise that a seed shares, and noise of its own."""
    random = np.random.default_rng(seed)
    shared, own = random.normal(size=21), random.normal(size=(1 + len(effects), 21))
    of = plan(["base", *effects], seeds=SEEDS, until_decided=True, **over)
    places = {arm: place for place, arm in enumerate(of.arms)}

    def value(cell: Cell) -> float:
        return float(shared[cell.seed] + own[places[cell.arm], cell.seed] + effects.get(cell.arm, 0.0))

    rounds = [cell for cells in played(of, value) for cell in cells]
    values = {arm: {cell.seed: value(cell) for cell in rounds if cell.arm == arm} for arm in of.arms}
    margin = of.tasks[0].margin
    verdicts = {
        arm: run_trial(
            values[arm], values["base"], most=20, higher_is_better=False, margin=margin, arms=len(effects)
        ).verdict
        for arm in effects
    }
    return {arm: len(values[arm]) for arm in effects}, {arm: str(verdict) for arm, verdict in verdicts.items()}


def test_studies_of_equal_arms_claim_a_difference_in_one_of_twenty_at_most() -> None:
    """Binomial: of 200 with a chance of 0.05 each, more than 19 are seen once in a thousand."""
    found = [set(simulated({"a": 0.0, "b": 0.0}, seed)[1].values()) for seed in range(200)]
    assert all(verdicts <= {"better", "worse", "undecided"} for verdicts in found)
    assert sum(verdicts != {"undecided"} for verdicts in found) <= 19


def test_planted_effects_are_found_with_few_seeds_and_equal_arms_with_a_margin() -> None:
    tasks = (replace(LOSS, margin=4.0),)
    found = [simulated({"worse": 12.0, "better": -12.0, "same": 0.0}, seed, tasks=tasks) for seed in range(30)]
    expected = {"worse": "worse", "better": "better", "same": "equal"}
    assert sum(verdicts == expected for _, verdicts in found) >= 28
    assert np.mean([counts["worse"] for counts, _ in found]) < 8

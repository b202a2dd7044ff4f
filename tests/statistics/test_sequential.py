"""The rule for going on or stopping, and the mean of suites: their definitions, and their errors by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from zoo.checks import Refused
from zoo.statistics import (
    compare_sequentially,
    compute_interquartile_interval,
    compute_interquartile_mean,
    compute_sequence_interval,
    run_sequential_test,
)


def marginal(values: np.ndarray, variance: float) -> float:
    """Density of the values when the effect is normal(0, variance) and dσ/σ weighs σ: by quadrature, from its text."""

    def of_sigma(log_sigma: float) -> float:
        sigma = math.exp(log_sigma)
        covariance = sigma**2 * (np.eye(len(values)) + variance)
        return float(stats.multivariate_normal(np.zeros(len(values)), covariance).pdf(values))

    return float(integrate.quad(of_sigma, -6, 8, limit=200)[0])


@pytest.mark.parametrize("count", [4, 7])
def test_at_its_bounds_the_martingale_is_one_over_the_error(count: int) -> None:
    values = np.random.default_rng(count).normal(1.0, 0.7, count)
    interval = compute_sequence_interval(list(values), 0.05, 4.0)
    for bound in (interval.low, interval.high):
        ratio = marginal(values - bound, 4.0) / marginal(values - bound, 0.0)
        assert ratio == pytest.approx(20.0, rel=1e-5)


def test_intervals_move_with_the_values_and_say_nothing_of_too_few() -> None:
    values = [0.3, 1.1, 0.2, 0.9, 0.4]
    one, other = compute_sequence_interval(values), compute_sequence_interval([10 * value - 3 for value in values])
    assert (other.low, other.high) == pytest.approx((10 * one.low - 3, 10 * one.high - 3))
    for few in ([1.0], [1.0, 1.2], [2.0] * 30):
        assert (compute_sequence_interval(few).low, compute_sequence_interval(few).high) == (-math.inf, math.inf)
    student = stats.ttest_1samp(values, 0.0).confidence_interval()
    assert one.low < student.low < student.high < one.high, "what may be looked at always is wider than what may once"


def verdicts(effect: float, trials: int, margin: float | None, arms: int = 1, seed: int = 0) -> list[tuple[str, int]]:
    """Verdict of each simulated study and after how many pairs, at most 20, looked at after each."""
    generator = np.random.default_rng(seed)
    looks = [
        run_sequential_test(list(sample), most=20, higher_is_better=True, margin=margin, arms=arms)
        for sample in generator.normal(effect, 1.0, size=(trials, 20))
    ]
    return [(str(look.verdict), look.pairs) for look in looks]


def test_looking_after_every_seed_errs_in_one_study_of_twenty() -> None:
    found = verdicts(0.0, 2000, None)
    wrong = sum(verdict != "undecided" for verdict, _ in found)
    assert 0 < wrong <= 2000 * 0.05 + 3 * math.sqrt(2000 * 0.05 * 0.95)


def test_a_t_test_looked_at_after_every_seed_errs_far_more_often() -> None:
    """So that the test above could fail."""
    samples = np.random.default_rng(0).normal(size=(2000, 20))
    looks = [stats.ttest_1samp(samples[:, :count], 0.0, axis=1).pvalue <= 0.05 for count in range(3, 21)]
    assert np.any(looks, axis=0).sum() > 2000 * 0.15


def test_what_differs_by_the_margin_is_seldom_called_equal() -> None:
    wrong = sum(verdict == "equal" for verdict, _ in verdicts(1.5, 1000, 1.5, seed=1))
    assert wrong <= 1000 * 0.05 + 3 * math.sqrt(1000 * 0.05 * 0.95)


def test_large_effects_and_equal_arms_are_decided_early() -> None:
    better, worse, equal = verdicts(4.0, 200, None), verdicts(-4.0, 200, None), verdicts(0.0, 200, 2.0)
    for found, verdict in ((better, "better"), (worse, "worse"), (equal, "equal")):
        assert sum(said == verdict for said, _ in found) > 180
        assert np.median([pairs for _, pairs in found]) <= 9
    assert all(pairs < 20 for _, pairs in better)


def test_a_verdict_stays_and_one_goes_on_before_it() -> None:
    values = [2.0, 2.2, 1.9, 2.1, 2.05, -9.0, 9.0, -9.0]
    looks = [run_sequential_test(values[:count], most=7, higher_is_better=False) for count in range(1, len(values) + 1)]
    first = next(place for place, look in enumerate(looks) if look.verdict)
    assert looks[first].verdict == "worse"
    assert all(look == looks[first] for look in looks[first:])
    assert [look.pairs for look in looks[:first]] == list(range(1, first + 1))
    assert run_sequential_test([0.1, -0.1], most=2, higher_is_better=True).verdict == "undecided"


def test_more_arms_ask_for_more() -> None:
    values = list(np.random.default_rng(5).normal(1.5, 1.0, 20))
    alone, among = (run_sequential_test(values, most=20, higher_is_better=True, arms=arms) for arms in (1, 8))
    assert alone.pairs < among.pairs


@pytest.mark.parametrize(
    ("change", "told"), [({"most": 0}, "most=0"), ({"arms": 0}, "arms=0"), ({"margin": 0.0}, "margin=0.0")]
)
def test_what_makes_no_sense_is_refused(change: dict[str, float], told: str) -> None:
    with pytest.raises(Refused, match=told):
        run_sequential_test([1.0, 2.0], **{"most": 5, "higher_is_better": True, **change})  # type: ignore[arg-type]
    with pytest.raises(Refused, match="got none"):
        run_sequential_test([], most=5, higher_is_better=True)


# ----------------------------------------------------------------------------------------------------------- suites


def test_the_interquartile_mean_is_of_the_middle_half() -> None:
    assert compute_interquartile_mean({"a": [100.0, 1.0, 2.0, 3.0], "b": [-50.0, 4.0, 5.0, 6.0]}) == (2 + 3 + 4 + 5) / 4
    assert compute_interquartile_mean({"a": [3.0]}) == 3.0


def test_runs_are_drawn_within_their_task() -> None:
    """Tasks of equal runs each have no luck, however far apart the tasks are."""
    interval = compute_interquartile_interval({"easy": [1.0] * 4, "hard": [0.0] * 4})
    assert (interval.low, interval.mean, interval.high, interval.count) == (0.5, 0.5, 0.5, 8)


def test_the_interval_covers_nearly_as_stated() -> None:
    """Percentile intervals of ten runs a task, four tasks: between 0.88 and 0.98 for 0.95 stated, with tolerance."""
    generator, trials, held = np.random.default_rng(6), 300, 0
    for _ in range(trials):
        scores = {str(task): list(generator.normal(0.0, 1.0, 10)) for task in range(4)}
        held += not compute_interquartile_interval(scores, resamples=400).excludes(0.0)
    assert 0.88 - 3 * 0.019 <= held / trials <= 0.98


@pytest.mark.parametrize("scores", [{}, {"a": []}, {"a": [1.0, math.nan]}])
def test_scores_that_say_nothing_are_refused(scores: dict[str, list[float]]) -> None:
    with pytest.raises(Refused, match="scores"):
        compute_interquartile_mean(scores)


# ---------------------------------------------------------------------------------------------------- comparisons


def test_comparisons_by_looks_are_the_rule_of_each_pair() -> None:
    generator, seeds = np.random.default_rng(31), range(1, 13)
    base = dict(zip(seeds, generator.normal(size=12), strict=True))
    arms = {gain: {seed: base[seed] + gain + generator.normal() for seed in seeds} for gain in (4.0, 0.1)}
    arms[9.0] = {**arms[4.0], 2: math.nan}
    told = compare_sequentially(
        {gain: (values, base) for gain, values in arms.items()}, most=12, higher_is_better=True, margin=0.01
    )
    for gain in (4.0, 0.1):
        gaps = [arms[gain][seed] - base[seed] for seed in seeds]
        look = run_sequential_test(gaps, most=12, higher_is_better=True, margin=0.01, arms=3)
        one = told[gain]
        assert (one.verdict, one.interval, one.pairs) == (look.verdict, look.interval, look.pairs)
        assert one.differences == tuple(gaps[: look.pairs])
        assert math.isnan(one.p)
        assert math.isnan(one.smallest), "power is of the rule that judges once"
    assert (told[4.0].verdict, told[0.1].verdict) == ("better", "undecided")
    assert told[4.0].pairs < 12
    lost = told[9.0]
    assert (lost.verdict, lost.diverged, lost.pairs) == ("diverged", 1, 1)
    unfinished = compare_sequentially({"a": (dict(list(arms[0.1].items())[:5]), base)}, most=12, higher_is_better=True)
    assert unfinished["a"].verdict is None


def test_comparisons_by_looks_of_arms_that_do_not_differ_err_in_one_study_of_twenty() -> None:
    generator, wrong = np.random.default_rng(32), 0
    for _ in range(400):
        base = dict(enumerate(generator.normal(size=12)))
        pairs = {arm: (dict(enumerate(generator.normal(size=12))), base) for arm in range(3)}
        told = compare_sequentially(pairs, most=12, higher_is_better=True)
        wrong += any(one.verdict != "undecided" for one in told.values())
    assert wrong <= 400 * 0.05 + 3 * math.sqrt(400 * 0.05 * 0.95)

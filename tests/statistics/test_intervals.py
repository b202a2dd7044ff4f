"""Intervals: their closed form, their coverage, and agreement with scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from zoo.checks import Refused
from zoo.statistics import Interval, compute_mean_interval, compute_paired_difference

FINITE = st.floats(-1e6, 1e6)


def test_two_values_have_the_cauchy_quantile() -> None:
    """With one degree of freedom t is Cauchy: its quantile is tan(pi (p - 1/2)), and s / sqrt(2) is half the gap."""
    interval = compute_mean_interval([1.0, 3.0])
    half = math.tan(math.pi * 0.475)
    assert interval.mean == 2.0
    assert (interval.low, interval.high) == pytest.approx((2.0 - half, 2.0 + half))
    assert interval.half_width == pytest.approx(half)


def test_three_values_have_the_quantile_of_two_degrees() -> None:
    """With two degrees of freedom the quantile is (2p - 1) sqrt(2 / (4 p (1 - p)))."""
    interval = compute_mean_interval([0.0, 1.0, 2.0], confidence=0.9)
    quantile = 0.9 * math.sqrt(2 / (4 * 0.95 * 0.05))
    assert interval.half_width == pytest.approx(quantile / math.sqrt(3))


def test_one_value_has_no_bounds() -> None:
    interval = compute_mean_interval([0.7])
    assert interval.mean == 0.7
    assert not interval.known
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    assert interval.overlaps(Interval(9.0, 8.9, 9.1, 3)), "nothing is known, so nothing is ruled out"
    assert not interval.excludes(9.0)


@given(st.dictionaries(st.integers(0, 50), st.tuples(FINITE, FINITE), min_size=2))
def test_paired_difference_is_scipys(pairs: dict[int, tuple[float, float]]) -> None:
    values, baseline = ({seed: pair[side] for seed, pair in pairs.items()} for side in (0, 1))
    ours = compute_paired_difference(values, baseline)
    gaps = [values[seed] - baseline[seed] for seed in values]
    if np.std(gaps) < 1e-6:  # scipy divides by it
        assert ours.mean == pytest.approx(gaps[0], abs=1e-5)
        return
    theirs = stats.ttest_rel(list(values.values()), list(baseline.values())).confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-6, abs=1e-6)


def test_only_shared_seeds_are_paired() -> None:
    difference = compute_paired_difference({0: 1.0, 1: 2.0, 7: 100.0}, {1: 1.5, 0: 0.0, 9: -100.0})
    assert (difference.mean, difference.count) == (0.75, 2)


def test_coverage_is_as_stated() -> None:
    """Of many intervals from normal samples, the stated share holds the mean, within four binomial deviations."""
    generator = np.random.default_rng(0)
    trials, confidence = 4000, 0.9
    samples = generator.normal(3.0, 2.0, size=(trials, 4))
    held = sum(not compute_mean_interval(list(sample), confidence).excludes(3.0) for sample in samples)
    tolerance = 4 * math.sqrt(trials * confidence * (1 - confidence))
    assert abs(held - trials * confidence) < tolerance


def test_pairing_removes_what_seeds_share() -> None:
    """With a large effect of the seed, the paired interval covers as stated and is far narrower than an unpaired."""
    generator = np.random.default_rng(1)
    held, narrower, trials = 0, 0, 1000
    for _ in range(trials):
        luck = generator.normal(0, 10, 5)
        base, arm = luck + generator.normal(0, 0.1, 5), luck + 0.5 + generator.normal(0, 0.1, 5)
        paired = compute_paired_difference(dict(enumerate(arm)), dict(enumerate(base)))
        held += not paired.excludes(0.5)
        narrower += paired.half_width < 0.2 * compute_mean_interval(list(arm)).half_width
    assert abs(held - 0.95 * trials) < 4 * math.sqrt(trials * 0.95 * 0.05)
    assert narrower > 0.99 * trials


@pytest.mark.parametrize(("values", "told"), [([], "got none"), ([1.0, math.nan], "nan"), ([math.inf], "inf")])
def test_what_has_no_mean_is_refused(values: list[float], told: str) -> None:
    with pytest.raises(Refused, match=told):
        compute_mean_interval(values)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95])
def test_confidence_is_a_share(confidence: float) -> None:
    with pytest.raises(Refused, match=f"confidence={confidence}"):
        compute_mean_interval([1.0, 2.0], confidence)


def test_no_shared_seed_is_refused() -> None:
    with pytest.raises(Refused, match=r"\[1\] and \[2\]"):
        compute_paired_difference({1: 0.0}, {2: 0.0})

"""P-values, power and verdicts: against scipy, against plain definitions, and by simulation with binomial tolerance."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from zoo.checks import Refused
from zoo.statistics import (
    Comparison,
    Verdict,
    adjust_p_values,
    bound_equivalence_power,
    compare,
    compute_bootstrap_interval,
    compute_detectable_effect,
    compute_difference_p,
    compute_equivalence_p,
    compute_power,
    estimate_pairs,
    predict_probability_above,
)

Verdicts = list[Verdict | None]
DRAWN = [list(np.random.default_rng(seed).normal(0.4, 1.0, 3 + seed)) for seed in range(6)]


def at_most(errors: int, trials: int, rate: float) -> bool:
    """Whether so many errors are plausible at this rate or a lower one: within three binomial deviations above it."""
    return errors <= trials * rate + 3 * math.sqrt(trials * rate * (1 - rate))


def about(found: int, trials: int, rate: float) -> bool:
    """Within four binomial deviations on either side."""
    return abs(found - trials * rate) <= 4 * math.sqrt(trials * rate * (1 - rate))


@pytest.mark.parametrize("values", DRAWN)
def test_the_p_of_a_difference_is_scipys(values: list[float]) -> None:
    base = [float(place) for place in range(len(values))]
    theirs = stats.ttest_rel([value + b for value, b in zip(values, base, strict=True)], base).pvalue
    assert compute_difference_p(values) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("values", DRAWN)
def test_the_p_of_equality_is_that_of_two_one_sided_tests(values: list[float]) -> None:
    low = stats.ttest_1samp(values, -0.9, alternative="greater").pvalue
    high = stats.ttest_1samp(values, 0.9, alternative="less").pvalue
    assert compute_equivalence_p(values, 0.9) == pytest.approx(max(low, high), rel=1e-9)


def test_one_pair_has_no_p() -> None:
    assert all(
        math.isnan(p)
        for p in (compute_difference_p([1.0]), compute_equivalence_p([1.0], 2.0), predict_probability_above([1.0]))
    )


@pytest.mark.parametrize("count", [2, 5, 6])
def test_equal_differences_are_judged_by_their_signs(count: int) -> None:
    same = [0.3 - 0.2] * (count - 1) + [0.7 - 0.6]  # equal but for rounding
    theirs = stats.binomtest(count, count, 0.5)
    assert compute_difference_p(same) == pytest.approx(theirs.pvalue)
    assert compute_equivalence_p(same, 0.5) == pytest.approx(stats.binomtest(count, count, 0.5, "greater").pvalue)
    assert (compute_difference_p([0.0] * count), compute_equivalence_p(same, 0.05)) == (1.0, 1.0)
    assert (predict_probability_above(same), predict_probability_above([0.0] * count)) == (1.0, 0.5)


def plain_holm(p_values: list[float]) -> list[float]:
    """The smallest level at which the procedure of the paper rejects each: found by trying all levels that matter."""

    def rejected(level: float) -> set[int]:
        out: set[int] = set()
        for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
            if (len(p_values) - rank) * p_values[place] > level:
                break
            out.add(place)
        return out

    levels = sorted({min(1.0, k * p) for p, k in itertools.product(p_values, range(1, len(p_values) + 1))} | {1.0})
    return [next((level for level in levels if place in rejected(level)), 1.0) for place in range(len(p_values))]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_procedure_of_the_paper(p_values: list[float]) -> None:
    assert adjust_p_values(p_values) == pytest.approx(plain_holm(p_values))


def test_what_was_not_tested_counts_in_the_family() -> None:
    adjusted = adjust_p_values([0.01, math.nan, 0.02])
    assert (adjusted[0], adjusted[2]) == (0.03, 0.04)
    assert math.isnan(adjusted[1])


def test_the_bootstrap_is_scipys_and_repeats() -> None:
    values = list(np.random.default_rng(3).exponential(size=15))
    ours, again = compute_bootstrap_interval(values), compute_bootstrap_interval(values)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20000, rng=7, method="BCa").confidence_interval
    assert ours is not None
    assert ours == again
    noise = 0.1 * (theirs.high - theirs.low)  # of resampling, at tails as long as these
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=noise)
    assert ours.high - ours.mean > ours.mean - ours.low, "which a t-interval would not tell"
    assert compute_bootstrap_interval(values[:9]) is None
    assert compute_bootstrap_interval([1.0] * 12) is None


def test_the_bootstrap_covers_nearly_as_stated() -> None:
    """At 30 skewless values BCa is a little narrow: at least 90 of 100 for 95 stated, and not more than stated."""
    samples, held = np.random.default_rng(4).normal(size=(300, 30)), 0
    for sample in samples:
        interval = compute_bootstrap_interval(list(sample), resamples=499)
        assert interval is not None
        held += not interval.excludes(0.0)
    assert at_most(300 - held, 300, 0.10)
    assert held <= 300 * 0.95 + 3 * math.sqrt(300 * 0.95 * 0.05)


def test_the_chance_on_a_new_seed_is_calibrated() -> None:
    """A new difference, put among those seen by the chance that they give it, is anywhere alike."""
    generator = np.random.default_rng(5)
    samples, new = generator.normal(0.5, 1.0, size=(6000, 3)), generator.normal(0.5, 1.0, 6000)
    chances = [predict_probability_above(list(sample - value)) for sample, value in zip(samples, new, strict=True)]
    for level in (0.1, 0.5, 0.9):
        assert about(sum(chance < level for chance in chances), 6000, level)


# ---------------------------------------------------------------------------------------------------------- power


@pytest.mark.parametrize(("effect", "pairs", "error"), [(1.0, 5, 0.05), (2.0, 3, 0.05), (0.8, 12, 0.0125)])
def test_power_is_the_share_of_studies_that_find(effect: float, pairs: int, error: float) -> None:
    samples = np.random.default_rng(6).normal(effect, 1.0, size=(8000, pairs))
    found = int((stats.ttest_1samp(samples, 0.0, axis=1).pvalue <= error).sum())
    assert about(found, 8000, compute_power(effect, 1.0, pairs, error))


def test_the_power_of_equality_is_a_close_bound() -> None:
    samples = np.random.default_rng(7).normal(0.2, 1.0, size=(8000, 16))
    ours = np.maximum(
        *(stats.ttest_1samp(sign * samples, -1.0, axis=1, alternative="greater").pvalue for sign in (1, -1))
    )
    found, bound = int((ours <= 0.05).sum()), bound_equivalence_power(0.2, 1.0, 16, 1.0)
    assert bound > 0.8
    assert about(found, 8000, bound)
    assert bound_equivalence_power(0.0, 1.0, 2, 0.01) == 0.0


@pytest.mark.parametrize("pairs", [2, 3, 5, 20])
@pytest.mark.parametrize("error", [0.05, 0.001])
def test_the_smallest_effect_is_found_at_the_power_wanted(pairs: int, error: float) -> None:
    smallest = compute_detectable_effect(0.3, pairs, error)
    assert compute_power(smallest, 0.3, pairs, error) == pytest.approx(0.8, abs=1e-6)
    assert math.isnan(compute_detectable_effect(0.3, 1))


def test_the_pairs_to_decide_are_the_first_that_do() -> None:
    pairs = estimate_pairs(0.5, 1.0)
    assert pairs is not None
    assert compute_power(0.5, 1.0, pairs) >= 0.8 > compute_power(0.5, 1.0, pairs - 1)
    equal = estimate_pairs(0.1, 1.0, margin=1.0)
    assert equal is not None
    assert bound_equivalence_power(0.1, 1.0, equal, 1.0) >= 0.8 > bound_equivalence_power(0.1, 1.0, equal - 1, 1.0)
    assert estimate_pairs(0.0, 1.0) is None
    assert estimate_pairs(0.01, 1.0) is None


# ------------------------------------------------------------------------------------------------------- verdicts


def by_seed(values: object) -> dict[int, float]:
    return dict(enumerate(np.asarray(values, dtype=float).tolist()))


def against(arms: dict[str, dict[int, float]], base: dict[int, float], **options: Any) -> dict[str, Comparison]:
    """All arms with one baseline."""
    return compare({arm: (values, base) for arm, values in arms.items()}, **options)


def test_verdicts_of_a_study_with_everything() -> None:
    generator, base = np.random.default_rng(8), np.zeros(8)
    arms = {"up": 3 + 0.1 * generator.normal(size=8), "down": -3 + 0.1 * generator.normal(size=8)}
    arms |= {"same": 0.01 * generator.normal(size=8), "wide": 0.3 + 2 * generator.normal(size=8)}
    arms |= {"lost": np.array([5.0] * 7 + [math.nan]), "one": np.array([1.0])}
    told = against(
        {arm: by_seed(values) for arm, values in arms.items()}, by_seed(base), higher_is_better=True, margin=0.1
    )
    found = {arm: one.verdict for arm, one in told.items()}
    assert found == {
        "up": "better",
        "down": "worse",
        "same": "equal",
        "wide": "undecided",
        "lost": "diverged",
        "one": None,
    }
    lost = told["lost"]
    assert (lost.diverged, lost.seeds, lost.pairs) == (1, 8, 7)
    assert math.isnan(lost.p)
    flipped = against({"up": by_seed(arms["up"])}, by_seed(base), higher_is_better=False)["up"]
    assert flipped.verdict == "worse"
    assert flipped.better_chance == pytest.approx(1 - told["up"].better_chance)


def test_a_difference_within_the_margin_is_equal_though_it_is_certain() -> None:
    arm = by_seed(0.5 + 0.01 * np.random.default_rng(9).normal(size=6))
    for margin, verdict in ((None, "better"), (1.0, "equal"), (0.1, "better")):
        told = against({"arm": arm}, by_seed(np.zeros(6)), higher_is_better=True, margin=margin)
        assert told["arm"].verdict == verdict


def test_a_baseline_that_diverged_decides_nothing() -> None:
    base = by_seed([0.0, 0.1, math.nan, 0.0])
    arms = {"arm": by_seed([9.0, 9.1, 9.2, 9.3]), "few": {0: 1.0}, "none": {}}
    told = against(arms, base, higher_is_better=True)
    assert told["few"].verdict == "undecided"
    one = told["arm"]
    assert (one.verdict, one.other_diverged, one.pairs, one.more_pairs) == ("undecided", 1, 3, None)
    assert told["none"].verdict is None


def test_more_seeds_are_what_the_power_asks_for() -> None:
    values = [0.9, -0.5, 0.7, 0.1]
    one = against({"arm": by_seed(values)}, by_seed(np.zeros(4)), higher_is_better=True)["arm"]
    assert one.verdict == "undecided"
    needed = estimate_pairs(float(np.mean(values)), float(np.std(values, ddof=1)))
    assert needed is not None
    assert one.more_pairs == needed - 4


def test_one_family_spans_comparisons_with_different_arms() -> None:
    """A path of steps, each against the one before: the p-values are scipy's, Holm's factor is that of all steps."""
    generator = np.random.default_rng(14)
    steps = [0.0 + generator.normal(size=5)]
    for gain in (2.0, 0.4, 1.5):
        steps.append(steps[-1] + gain + 0.5 * generator.normal(size=5))
    told = compare({i: (by_seed(steps[i]), by_seed(steps[i - 1])) for i in (1, 2, 3)}, higher_is_better=True)
    raw = [stats.ttest_rel(steps[i], steps[i - 1]).pvalue for i in (1, 2, 3)]
    assert [one.p for one in told.values()] == pytest.approx(raw)
    assert [one.adjusted_p for one in told.values()] == pytest.approx(plain_holm([float(p) for p in raw]))
    assert {one.level for one in told.values()} == {0.05 / 3}


def test_smallest_effects_of_a_family() -> None:
    base, arm = [1.0, 2.0, 3.0, 5.0], [1.5, 2.1, 3.9, 5.2]
    told = against({"a": by_seed(arm), "b": by_seed(base), "c": {}}, by_seed(base), higher_is_better=True)
    spread = float(np.std(np.subtract(arm, base), ddof=1))
    assert told["a"].smallest == pytest.approx(compute_detectable_effect(spread, 4, 0.05 / 3))
    assert math.isnan(told["b"].smallest), "it differs nowhere, so its spread is not known"
    assert math.isnan(told["c"].smallest)


@pytest.mark.parametrize("margin", [0.0, -1.0])
def test_a_margin_is_above_nothing(margin: float) -> None:
    with pytest.raises(Refused, match=f"margin={margin}"):
        against({"a": {0: 1.0}}, {0: 1.0}, higher_is_better=True, margin=margin)
    with pytest.raises(Refused, match=f"margin={margin}"):
        compute_equivalence_p([1.0, 2.0], margin)


def studies(
    effects: list[float], trials: int, seeds: int, margin: float | None, seed: int
) -> list[list[Verdict | None]]:
    """Verdicts of many simulated studies: all arms share the baseline, and seeds have luck that arms share."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(trials):
        luck = generator.normal(0, 3, seeds)
        base = by_seed(luck + generator.normal(size=seeds))
        arms = {str(i): by_seed(luck + effect + generator.normal(size=seeds)) for i, effect in enumerate(effects)}
        told = against(arms, base, higher_is_better=True, margin=margin)
        found.append([one.verdict for one in told.values()])
    return found


@pytest.mark.parametrize(("arms", "seeds"), [(1, 3), (4, 5)])
def test_arms_that_do_not_differ_are_called_different_in_one_study_of_twenty(arms: int, seeds: int) -> None:
    found = studies([0.0] * arms, 1500, seeds, None, seed=10)
    wrong = sum(any(verdict != "undecided" for verdict in verdicts) for verdicts in found)
    assert at_most(wrong, len(found), 0.05)
    assert wrong > 0.4 * 0.05 * len(found), "a correction that never errs finds nothing either"


def test_one_planted_effect_is_found_at_the_power_computed() -> None:
    found = studies([2.5], 1500, 5, None, seed=11)
    assert about(sum(verdicts == ["better"] for verdicts in found), len(found), compute_power(2.5, math.sqrt(2), 5))


def test_one_planted_among_others_is_found_at_least_as_often_as_the_strictest_step() -> None:
    """And the others, which do not differ, are called different in one study of twenty."""
    found = studies([-3.0, 0.0, 0.0], 1000, 6, None, seed=12)
    missed = sum(verdicts[0] != "worse" for verdicts in found)
    assert at_most(missed, len(found), 1 - compute_power(3.0, math.sqrt(2), 6, 0.05 / 3))
    assert at_most(sum(verdicts[1:] != ["undecided"] * 2 for verdicts in found), len(found), 0.05)


@pytest.mark.parametrize("effect", [2.0, -2.0])
def test_what_differs_by_the_margin_is_called_equal_in_one_study_of_twenty(effect: float) -> None:
    found = studies([effect] * 2, 1000, 12, 2.0, seed=13)
    wrong = sum("equal" in verdicts for verdicts in found)
    assert at_most(wrong, len(found), 0.05)
    assert wrong > 0, "no test would show this if equality were never claimed"

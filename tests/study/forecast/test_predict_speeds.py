"""Durations of kinds that are not measured."""

from __future__ import annotations

import itertools
import math

import pytest

from zoo.study.forecast.predict_speeds import SpeedKind, order_by_novelty, predict_durations

NORMS, POSITIONS, WIDTHS = {"layer": 1.0, "rms": 0.8, "l2": 1.5}, {"rotary": 1.3, "learned": 0.9}, {"64": 1, "128": 2}
KINDS = {
    f"{norm} {position} {width}": SpeedKind(
        frozenset({("norm", norm), ("position", position), ("dim", width), ("batch", "8")}), 1e6 * 4.0**scale
    )
    for norm, position, (width, scale) in itertools.product(NORMS, POSITIONS, WIDTHS.items())
}


def take(name: str) -> tuple[float, float]:
    """Seconds of a step and of an evaluation in a world where each option multiplies them."""
    norm, position, _ = name.split()
    step = 1e-9 * KINDS[name].flops * NORMS[norm] * POSITIONS[position]
    return step, 7 * step


def test_the_first_kinds_contain_every_option_and_none_is_left_out() -> None:
    order = list(order_by_novelty(KINDS))
    assert sorted(order) == sorted(KINDS)
    everything = set().union(*(kind.options for kind in KINDS.values()))
    assert set().union(*(KINDS[name].options for name in order[:3])) == everything
    assert set().union(*(kind.options for kind in list(KINDS.values())[:3])) < everything  # the order they came in
    assert set().union(*(KINDS[name].options for name in order[3:6])) == everything


def test_factors_of_options_are_found_from_some_of_the_kinds() -> None:
    measured = {name: take(name) for name in list(order_by_novelty(KINDS))[:7]}
    predicted = predict_durations(KINDS, measured)
    assert set(predicted) == set(KINDS) - set(measured)
    for name, seconds in predicted.items():
        assert seconds == pytest.approx(take(name), rel=1e-6)
    mean = sum(step for step, _ in measured.values()) / len(measured)
    assert max(abs(math.log(mean / take(name)[0])) for name in predicted) > 0.5  # what a mere mean would miss


def test_one_measurement_gives_others_by_their_operations() -> None:
    one = "layer learned 64"
    predicted = predict_durations(KINDS, {one: (2.0, 0.0)})
    assert predicted["rms rotary 64"] == pytest.approx((2.0, 0.0), abs=1e-5)
    assert predicted["rms rotary 128"][0] == pytest.approx(2.0 * 4)

"""Schedules against their closed forms, written once more."""

from __future__ import annotations

import math

import pytest

from zoo.checks import Refused
from zoo.training.schedule import constant, cosine, inverse_sqrt, warmup_stable_decay


def test_cosine() -> None:
    factor = cosine(steps=100, warmup=0.1, floor=0.2)
    assert [factor(step) for step in range(10)] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert factor(10) == 1.0
    assert factor(55) == pytest.approx((1 + 0.2) / 2)
    for step in (10, 30, 77, 100):
        assert factor(step) == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi * (step - 10) / 90)) / 2)
    assert factor(100) == factor(1000) == pytest.approx(0.2)


def test_inverse_sqrt_is_that_of_2017() -> None:
    """Section 5.3: proportional to min(step^-0.5, step * warmup^-1.5), here 1 at its peak."""
    factor = inverse_sqrt(steps=1000, warmup=0.04)
    for step in (1, 7, 40, 41, 500, 1000):
        paper = min(step**-0.5, step * 40**-1.5)
        assert factor(step - 1) == pytest.approx(paper / 40**-0.5)


def test_warmup_stable_decay() -> None:
    factor = warmup_stable_decay(steps=100, warmup=0.1, decay=0.2, floor=0.1)
    assert factor(4) == pytest.approx(5 / 11)
    assert {factor(step) for step in range(10, 81)} == {1.0}
    assert factor(90) == pytest.approx(0.1 + 0.9 * 0.5)
    assert factor(100) == pytest.approx(0.1)


def test_constant() -> None:
    assert [constant(steps=10, warmup=0.0)(step) for step in range(11)] == [1.0] * 11
    assert constant(steps=10, warmup=0.3)(0) == pytest.approx(1 / 4)


@pytest.mark.parametrize("make", [cosine, warmup_stable_decay, inverse_sqrt, constant])
def test_a_share_is_refused_that_is_none(make: object) -> None:
    more = {"cosine": {"floor": 0.0}, "warmup_stable_decay": {"floor": 0.0, "decay": 0.1}}.get(make.__name__, {})
    with pytest.raises(Refused, match=r"schedule\.warmup must be between 0\.0 and 1\.0: got schedule\.warmup=1\.5"):
        make(steps=10, warmup=1.5, **more)
    assert all(0 < make(steps=10, warmup=0.5, **more)(step) <= 1 for step in range(10))

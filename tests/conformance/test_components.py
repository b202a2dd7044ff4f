"""The kit of zoo.testing on every registered component, plug-ins included; none is named here."""

from __future__ import annotations

from collections import Counter

import pytest

from zoo.registry import get_index
from zoo.testing import FAILURES, check_component

EVERY = [f"{kind}/{name}" for kind, name in get_index().entries]


@pytest.mark.parametrize("component", EVERY)
def test_component(component: str) -> None:
    """Runs all checks of a component, some 50 on average, and names each that it does not pass."""
    outcomes = list(check_component(component))
    assert outcomes
    if any(outcome.status in FAILURES for outcome in outcomes):
        pytest.fail("\n".join(outcome.line for outcome in outcomes if outcome.status != "passed"), pytrace=False)
    if excused := [outcome.line for outcome in outcomes if outcome.status != "passed"]:
        pytest.xfail("\n".join(excused))


def test_the_catalog_holds_what_the_field_uses() -> None:
    wanted = {"attention": 16, "ffn": 7, "norm": 7, "position": 10, "residual": 10, "objective": 11}
    counted = Counter(kind for kind, _ in get_index().entries)
    assert all(counted[kind] >= number for kind, number in wanted.items()), counted


def test_few_components_are_expected_to_fail() -> None:
    excused = [
        name for entry in get_index().entries.values() for name in getattr(entry.load(), "expected_failures", {})
    ]
    assert len(excused) < 5, excused

"""Every family, in every configuration of ``cases/``: the same numbers as ``transformers``, both ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hub.oracle import Case, cases, measure
from zoo.hub import get_families


@pytest.mark.parametrize(("family", "case"), [pytest.param(f, c, id=f"{f}-{c.name}") for f, c in cases()])
def test_a_model_computes_what_transformers_does(family: str, case: Case, tmp_path: Path) -> None:
    measured = measure(case, tmp_path)
    assert 0.05 < measured.scale < 20  # else differences would say nothing
    assert measured.forward < 1e-5
    assert measured.gradient < 1e-4
    assert measured.back < 1e-5
    assert measured.keys == ()
    assert measured.decoded in (True, None)


def test_every_family_has_five_configurations() -> None:
    """One that has the parts of another needs one of its own."""
    counted = {family.name: 0 for family in get_families().values()}
    for _, case in cases():
        counted[case.config().model_type] += 1
    least = {name: 1 if family.alias_of else 5 for name, family in get_families().items()}
    assert {name: count for name, count in counted.items() if count < least[name]} == {}

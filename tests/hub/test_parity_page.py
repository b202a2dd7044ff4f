"""docs/parity.md names what is tried, and says what was measured."""

from __future__ import annotations

from tests.hub.oracle import Measured, cases
from tests.hub.parity_page import PAGE, page, rows
from zoo.hub import get_families


def test_the_page_names_every_family_and_every_configuration() -> None:
    tried: dict[str, list[str]] = {name: [] for name in get_families()}
    for _, case in cases():
        tried[case.config().model_type].append(case.name)
    assert rows(PAGE.read_text(encoding="utf8")) == tried


def test_the_worst_of_a_family_is_told() -> None:
    good, bad = Measured(1e-7, 1e-6, 2e-7, None, (), 1.0), Measured(3e-7, 1e-8, 1e-9, True, ("missing_keys: a",), 1.0)
    text = page({"one": {"x": good}, "two": {"x": good, "y": bad}, "three": {"z": Measured(0, 0, 0, False, (), 1.0)}})
    assert "| `one` | `x` | 1.0e-07 | 1.0e-06 | not applicable | 2.0e-07 | none |" in text
    assert "| `two` | `x`, `y` | 3.0e-07 | 1.0e-06 | equal | 2.0e-07 | missing_keys: a |" in text
    assert "| differs |" in text
    assert rows(text) == {"one": ["x"], "two": ["x", "y"], "three": ["z"]}

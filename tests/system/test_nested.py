"""Values of nested mappings are found by dotted paths."""

from __future__ import annotations

from typing import Any

import pytest

from zoo.system.nested import get_nested


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", {"b": {"c": 3}, "none": None}),
        ("a.b.c", 3),
        ("a.none", None),
        ("a.none.c", "default"),
        ("a.b.c.d", "default"),
        ("a.x", "default"),
        ("x", "default"),
    ],
)
def test_a_path_leads_to_its_value_or_to_the_default(path: str, value: Any) -> None:
    assert get_nested({"a": {"b": {"c": 3}, "none": None}}, path, "default") == value

"""Configs as they were published say what the presets say: each file holds one, and the name of its preset."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoo.build import check
from zoo.config import compose_run
from zoo.hub.difference import differences
from zoo.hub.family import read

FILES = sorted((Path(__file__).parent / "configs").glob("*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_published_config_is_its_preset(file: Path) -> None:
    given = json.loads(file.read_text())
    _, plan, problems = check(compose_run([f"model={given['model']}", *given.get("overrides", [])])["model"])
    assert problems == []
    assert plan is not None
    assert list(map(str, differences(read(given["config"]).plan, plan))) == []

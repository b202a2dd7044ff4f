"""A run's config: its files and its hash stay what they are, whatever becomes of its types."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from zoo.config.run_options import RUN_OPTIONS, SECTIONS
from zoo.runs.run_config import RunConfig
from zoo.runs.run_folder import RunFolder
from zoo.runs.run_start import RunStart

ROOT = Path(__file__).parents[2]
TEXT = Path(__file__).with_name("run_config.yaml").read_text(encoding="utf8")
LOGGER = {"a": {"_target_": "b.C", "d": 1}}
TIMER = {"timer": {"_target_": "lightning.pytorch.callbacks.Timer", "duration": {"hours": 12.0}}}
HASHES: list[tuple[str, dict[str, Any]]] = [  # of version 0.1.0, when a config was a plain mapping
    ("89c059b9dae5b835", {}),
    ("28fea6ead6c11f7d", {"seed": 3}),
    ("8adec9ee9b5ca427", {"clip": None, "checkpoint_seconds": None, "threads": 1}),
    ("f21b69b9479e0ee5", {"clip": 2.0, "optimizer.lr": 1.0, "optimizer.betas": [0.0, 1.0]}),
    ("89c059b9dae5b835", {"runs": "x", "cache": "y", "checkpoint": 7, "label": "é", "logger": LOGGER}),
    ("75f76e3565c737fa", {"model.path": "runs/é", "model.sha256": "0" * 64}),
    ("b5db77e2ce0c60d2", {"callbacks": TIMER}),
    (
        "9e3254c0d8a3421a",
        {
            "data.tokenizer": {"name": "bpe", "vocabulary": 512},
            "objective": {"name": "causal_lm"},
            "model.exceptions": {"global": {"every": 6}},
        },
    ),
]


def change(changes: dict[str, Any]) -> dict[str, Any]:
    """The mapping of the file beside this one, with values of dotted keys changed."""
    values: dict[str, Any] = yaml.safe_load(TEXT)
    for key, value in changes.items():
        *sections, last = key.split(".")
        at = values
        for section in sections:
            at = at[section]
        at[last] = value
    return values


@pytest.mark.parametrize(("expected", "changes"), HASHES)
def test_the_hash_and_the_file_stay_what_they_are(expected: str, changes: dict[str, Any], tmp_path: Path) -> None:
    values = change(changes)
    config = RunConfig.from_mapping(values)
    assert config.hash == expected
    RunFolder(tmp_path).record_start(config, RunStart())
    del values["label"]
    written = (tmp_path / "config.yaml").read_text(encoding="utf8")
    assert written == yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def test_the_mapping_of_a_config_gives_the_same_config() -> None:
    config = RunConfig.from_mapping(change({"model.path": "a", "model.sha256": "b", "logger": LOGGER}))
    assert RunConfig.from_mapping(config.as_mapping()) == config
    assert yaml.safe_dump(RunConfig.from_mapping(yaml.safe_load(TEXT)).as_mapping(), sort_keys=False) == TEXT


def test_fields_are_the_keys_of_a_config() -> None:
    fields = {each.name: str(each.type) for each in dataclasses.fields(RunConfig)}
    assert list(fields) == [*(option.name for option in RUN_OPTIONS), *SECTIONS]
    for option in RUN_OPTIONS:
        declared = "str" if option.name == "precision" else str(option.type).replace("null", "None")
        assert fields[option.name] == declared, option.name


def find_lookups(source: str) -> Iterator[str]:
    """Expressions such as ``config["seed"]`` and ``checked.config["seed"]``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            name = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
            if name == "config" and isinstance(node.slice.value, str):
                yield ast.unparse(node)


def test_a_config_is_read_by_attributes_once_it_is_checked() -> None:
    """Mappings are for ``zoo.config``, which checks them, and for the published configs of ``zoo.hub``."""
    assert list(find_lookups("a.config['seed']; config['model']['dim']; config[key]; other['seed']")) == [
        "a.config['seed']",
        "config['model']",
    ]
    files = [file for top in ("zoo", "hydra_plugins") for file in (ROOT / top).rglob("*.py")]
    found = [
        f"{file.relative_to(ROOT)}: {lookup}"
        for file in files
        if file.relative_to(ROOT).parts[:2] not in (("zoo", "config"), ("zoo", "hub"))
        for lookup in find_lookups(file.read_text(encoding="utf8"))
    ]
    assert not found

"""Files of a run's folder, read in whatever state a run left them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from zoo import limits
from zoo.checks import require
from zoo.input_files import read_text

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; empty if there is no such file.

    Raises:
        Refused: if it holds anything else.
    """
    if not path.is_file():
        return {}
    loaded = yaml.load(read_text(path, limits.YAML_BYTES), _LOADER)
    require(isinstance(loaded, dict), f"{path} must hold a mapping: got {type(loaded).__name__}")
    return dict(loaded)


def read_json(path: Path) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The mapping in a JSON file; None, and a note, if it cannot be read."""
    if not path.is_file():
        return None, ()
    try:
        loaded = json.loads(read_text(path, limits.JSON_BYTES))
    except (ValueError, RecursionError) as error:
        return None, (f"{path.name} cannot be read, the run counts as not finished: {error}",)
    if not isinstance(loaded, dict):
        return None, (f"{path.name} must hold a mapping, the run counts as not finished",)
    return loaded, ()

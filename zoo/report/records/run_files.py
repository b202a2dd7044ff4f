"""Files of a run's folder, read in whatever state a run left them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from zoo import limits
from zoo.checks import Refused, require
from zoo.runs.state_files import read_record
from zoo.system.files import Damaged
from zoo.system.input_files import read_text

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; empty if there is no such file.

    Raises:
        Refused: if it holds anything else.
    """
    if not path.is_file():
        return {}
    try:
        loaded = yaml.load(read_text(path, limits.YAML_BYTES), _LOADER)
    except yaml.YAMLError as error:
        raise Refused(f"{path} must be YAML: {next(iter(str(error).splitlines()), '')}") from None
    require(isinstance(loaded, dict), f"{path} must hold a mapping: got {type(loaded).__name__}")
    return dict(loaded)


def read_json(path: Path) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    """The record in a JSON file of a run; None, and a note, if it cannot be read."""
    try:
        return read_record(path), ()
    except Damaged as error:
        return None, (f"{error}; the run counts as not finished",)

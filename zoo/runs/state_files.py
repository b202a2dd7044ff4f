"""Readers of the JSON and YAML files in a run folder."""

import json
from pathlib import Path
from typing import Any, TypeVar

import yaml

from zoo import limits
from zoo.checks import Refused
from zoo.runs.json_records import parse_record
from zoo.system.files import Damaged
from zoo.system.input_files import read_text, replace_surrogates

STATE_FILES = ("started.json", "result.json", "failed.json")
"""Files that determine the state of a run."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Record = TypeVar("Record")


def read_record(path: Path, kind: type[Record], **given: Any) -> Record | None:
    """Reads a JSON file of a run folder; None if it is missing.

    Args:
        path: the file.
        kind: dataclass of its content.
        given: fields that are not in the file.
    Raises:
        Damaged: if it is not a JSON file, or a value does not have the type of the field; the message names file, key
            and value.
    """
    try:
        content = replace_surrogates(json.loads(read_text(path, limits.JSON_BYTES)))
    except FileNotFoundError:
        return None
    except Refused as error:
        raise Damaged(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path}: must be JSON: {error}") from None
    try:
        return parse_record(content, kind, **given)
    except ValueError as error:
        raise Damaged(f"{path}: {error}") from None


def read_config(path: Path) -> dict[str, Any]:
    """Returns the mapping in a ``config.yaml``; empty if there is no such file.

    Raises:
        Damaged: if it holds anything else; names the file.
    """
    try:
        loaded = yaml.load(read_text(path, limits.YAML_BYTES), _LOADER)
    except FileNotFoundError:
        return {}
    except Refused as error:
        raise Damaged(str(error)) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that is none
        raise Damaged(f"{path} must be YAML: {next(iter(str(error).splitlines()), '')}") from None
    if not isinstance(loaded, dict):
        raise Damaged(f"{path} must hold a mapping: got {type(loaded).__name__}")
    return dict(replace_surrogates(loaded))

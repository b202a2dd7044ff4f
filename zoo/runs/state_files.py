"""Typed records of the JSON files in a run folder, and their reader, which checks every value against its type."""

import functools
import json
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict, Union, get_args, get_origin, get_type_hints, is_typeddict

import yaml

from zoo import limits
from zoo.checks import Refused
from zoo.system.files import Damaged
from zoo.system.input_files import read_text, replace_surrogates

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Facts(TypedDict):
    """Provenance of a result; further keys are allowed, as in all records."""

    fingerprints: NotRequired[dict[str, str]]
    versions: NotRequired[dict[str, str]]
    packages: NotRequired[dict[str, str]]
    hardware: NotRequired[dict[str, Any]]
    git: NotRequired[str | None]
    started: NotRequired[str]
    checkpoint: NotRequired[dict[str, Any]]


class Started(Facts):
    """``started.json``: written before the first step."""


class Result(Facts):
    """``result.json``: written last. A metric that is not finite is stored as None."""

    metrics: dict[str, float | None]
    diverged: NotRequired[bool]
    by_length: NotRequired[dict[str, dict[str, float]]]
    cost: NotRequired[dict[str, float | None]]
    steps: NotRequired[int]
    tokens: NotRequired[int]
    seconds: NotRequired[float]
    energy_joules: NotRequired[float | None]
    samples: NotRequired[list[dict[str, str]]]
    files: NotRequired[dict[str, str]]
    finished: NotRequired[str]


class Failed(TypedDict):
    """``failed.json``: the error that ended a run."""

    error: str
    traceback: NotRequired[str]


RECORDS: Mapping[str, type] = {"started.json": Started, "result.json": Result, "failed.json": Failed}


def read_record(path: Path) -> dict[str, Any] | None:
    """Reads one of the files in ``RECORDS``; None if it is missing.

    Raises:
        Damaged: if it is not a JSON file, or a value does not have the type of the record; the message names file, key
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
    if (problem := next(_problems(content, RECORDS[path.name], ""), None)) is not None:
        raise Damaged(f"{path}: {problem}")
    record: dict[str, Any] = content
    return record


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


def _problems(value: Any, kind: Any, at: str) -> Iterator[str]:
    """Yields a message for each part of a JSON value that does not have the annotated type.

    Args:
        value: parsed JSON.
        kind: the annotation.
        at: dotted key of the value in the file.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return
    if origin is NotRequired:
        yield from _problems(value, inner[0], at)
    elif origin in (Union, types.UnionType):
        if all(next(_problems(value, each, at), None) is not None for each in inner):
            yield _type_problem(value, " or ".join(_type_name(each) for each in inner), at)
    elif is_typeddict(kind):
        if not isinstance(value, dict):
            yield _type_problem(value, "a mapping", at)
            return
        yield from (f"{_join_keys(at, name)} is missing" for name in kind.__required_keys__ - value.keys())
        for name, annotation in _annotations(kind).items():
            if name in value:
                yield from _problems(value[name], annotation, _join_keys(at, name))
    elif origin is dict:
        if not isinstance(value, dict):
            yield _type_problem(value, "a mapping", at)
            return
        for name, item in value.items():
            yield from _problems(item, inner[1], _join_keys(at, name))
    elif origin is list:
        if not isinstance(value, list):
            yield _type_problem(value, "a list", at)
            return
        for number, item in enumerate(value):
            yield from _problems(item, inner[0], _join_keys(at, str(number)))
    elif not isinstance(value, (int, float) if kind is float else kind) or (
        isinstance(value, bool) and kind is not bool
    ):
        yield _type_problem(value, _type_name(kind), at)


@functools.cache
def _annotations(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _type_name(kind: Any) -> str:
    names = {float: "a number", int: "an integer", str: "text", bool: "true or false", type(None): "null"}
    return names.get(kind, "a mapping")


def _type_problem(value: Any, expected: str, at: str) -> str:
    return f"{at + ' ' if at else ''}must be {expected}: got {str(value)[:40]!r}"


def _join_keys(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name

"""Conversion between JSON and dataclasses; every value is checked against the type of its field."""

import dataclasses
import functools
import types
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

_FURTHER = "further"  # the field that takes the keys which no other field is named after
_SCALARS: Mapping[Any, tuple[Any, str]] = {
    float: ((int, float), "a number"),
    int: (int, "an integer"),
    str: (str, "text"),
    bool: (bool, "true or false"),
}
"""Types of JSON values by the type of a field, and their names in messages."""

Record = TypeVar("Record")


def parse_record(content: Any, kind: type[Record], **given: Any) -> Record:
    """Converts parsed JSON to a dataclass.

    Lists become tuples, and texts become times where the field is one. Keys without a field become items of the field
    ``further``, if there is one.

    Args:
        content: parsed JSON.
        kind: the dataclass.
        given: fields that are not in the JSON.
    Raises:
        ValueError: if a value does not have the type of its field; names key and value.
    """
    record: Record = _convert_mapping(content, kind, "", given)
    return record


def format_record(record: Any, *omitted: str) -> dict[str, Any]:
    """Converts a dataclass to what :func:`parse_record` reads.

    Args:
        record: the dataclass.
        omitted: fields that are not stored.
    """
    fields = [each.name for each in dataclasses.fields(record) if each.name not in (_FURTHER, *omitted)]
    return {**{name: _to_json(getattr(record, name)) for name in fields}, **getattr(record, _FURTHER, {})}


def _convert(value: Any, kind: Any, at: str) -> Any:
    """Converts a JSON value to an annotated type; ``at`` is the dotted key of the value in the file."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is types.UnionType:
        return _convert_optional(value, inner[0], at)
    if dataclasses.is_dataclass(kind):
        return _convert_mapping(value, kind, at, {})
    if origin is Mapping:
        _require(isinstance(value, dict), value, "a mapping", at)
        return {name: _convert(item, inner[1], _join_keys(at, name)) for name, item in value.items()}
    if origin is Sequence:
        _require(isinstance(value, list), value, "a list", at)
        return tuple(_convert(item, inner[0], _join_keys(at, str(number))) for number, item in enumerate(value))
    if kind is datetime:
        return _convert_time(value, at)
    accepted, name = _SCALARS[kind]
    _require(isinstance(value, accepted) and (kind is bool or not isinstance(value, bool)), value, name, at)
    return value


def _convert_optional(value: Any, kind: Any, at: str) -> Any:
    """Converts a value of type ``kind | None``."""
    if value is None:
        return None
    try:
        return _convert(value, kind, at)
    except ValueError:
        if kind not in _SCALARS:  # the message may name a key within the value
            raise
        raise _mismatch(value, f"{_SCALARS[kind][1]} or null", at) from None


def _convert_time(value: Any, at: str) -> datetime:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _mismatch(value, "a time", at) from None


def _convert_mapping(value: Any, kind: Any, at: str, given: Mapping[str, Any]) -> Any:
    """Converts a mapping to a dataclass, some fields of which are given."""
    _require(isinstance(value, dict), value, "a mapping", at)
    annotations, found = _get_annotations(kind), dict(given)
    for each in dataclasses.fields(kind):
        if each.name in given or each.name == _FURTHER:
            continue
        if each.name in value:
            found[each.name] = _convert(value[each.name], annotations[each.name], _join_keys(at, each.name))
        elif each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
            raise ValueError(f"{_join_keys(at, each.name)} is missing")
    if _FURTHER in annotations:
        found[_FURTHER] = {name: item for name, item in value.items() if name not in annotations}
    return kind(**found)


def _require(condition: bool, value: Any, expected: str, at: str) -> None:
    if not condition:
        raise _mismatch(value, expected, at)


def _mismatch(value: Any, expected: str, at: str) -> ValueError:
    return ValueError(f"{at + ' ' if at else ''}must be {expected}: got {str(value)[:40]!r}")


@functools.cache
def _get_annotations(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _to_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


def _join_keys(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name

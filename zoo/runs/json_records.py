"""Conversion between JSON and dataclasses; every value is checked against the type of its field."""

import dataclasses
import functools
import types
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

_FURTHER = "further"  # the field that takes the keys which no other field is named after

Record = TypeVar("Record")


def parse_record(content: Any, kind: type[Record], **given: Any) -> Record:
    """Converts parsed JSON to a dataclass.

    Lists become tuples, and texts become times where the field is one. Keys without a field become items of the field
    ``further``, if there is one.

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


class _Mismatch(ValueError):
    """A JSON value does not have the type of its field."""

    def __init__(self, value: Any, expected: str, at: str) -> None:
        super().__init__(f"{at + ' ' if at else ''}must be {expected}: got {str(value)[:40]!r}")


def _convert(value: Any, kind: Any, at: str) -> Any:
    """Converts a JSON value to an annotated type; ``at`` is the dotted key of the value in the file."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return _convert_to_any_of(value, inner, at)
    if dataclasses.is_dataclass(kind):
        return _convert_mapping(value, kind, at, {})
    if origin is Mapping:
        _require_type(value, dict, "a mapping", at)
        return {name: _convert(item, inner[1], _join_keys(at, name)) for name, item in value.items()}
    if origin is Sequence:
        _require_type(value, list, "a list", at)
        return tuple(_convert(item, inner[0], _join_keys(at, str(number))) for number, item in enumerate(value))
    if kind is datetime:
        try:
            return datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise _Mismatch(value, _NAMES[kind], at) from None
    if isinstance(value, bool) and kind is not bool:
        raise _Mismatch(value, _NAMES[kind], at)
    _require_type(value, (int, float) if kind is float else kind, _NAMES[kind], at)
    return value


_NAMES: Mapping[Any, str] = {
    float: "a number",
    int: "an integer",
    str: "text",
    bool: "true or false",
    datetime: "a time",
    type(None): "null",
}


def _require_type(value: Any, kind: Any, name: str, at: str) -> None:
    if not isinstance(value, kind):
        raise _Mismatch(value, name, at)


def _convert_to_any_of(value: Any, kinds: Sequence[Any], at: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    others = [kind for kind in kinds if kind is not type(None)]
    if len(others) == 1 and not isinstance(value, int | float | str):
        return _convert(value, others[0], at)  # names the key within it
    for kind in others:
        try:
            return _convert(value, kind, at)
        except _Mismatch:
            continue
    raise _Mismatch(value, " or ".join(_NAMES.get(kind, "a mapping") for kind in kinds), at)


def _convert_mapping(value: Any, kind: Any, at: str, given: Mapping[str, Any]) -> Any:
    _require_type(value, dict, "a mapping", at)
    annotations, found = _get_annotations(kind), dict(given)
    for each in dataclasses.fields(kind):
        if each.name in given or each.name == _FURTHER:
            continue
        if each.name in value:
            found[each.name] = _convert(value[each.name], annotations[each.name], _join_keys(at, each.name))
        elif each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING:
            raise _Missing(_join_keys(at, each.name))
    if _FURTHER in annotations:
        found[_FURTHER] = {name: item for name, item in value.items() if name not in annotations}
    return kind(**found)


class _Missing(_Mismatch):
    """A key is missing."""

    def __init__(self, key: str) -> None:
        ValueError.__init__(self, f"{key} is missing")


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

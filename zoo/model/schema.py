"""Checks model configs without importing torch, and collects all problems.

A model config is a mapping of sizes, a part for each slot (``{name: …, option: …}``), overlays for the stacks of an
encoder-decoder, and named exceptions for layers that differ. Its options are read from the signatures of the classes
that receive them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.checks import Refused, suggest
from zoo.registry import Entry, get_index
from zoo.registry.options import Choice, Many, Maybe, Option, Record, Scalar, check_options, join_path
from zoo.registry.signatures import find_class, parse_file, read_tree_options

VARIANTS = ("decoder", "encoder", "encoder_decoder")
SLOTS = ("attention", "ffn", "norm", "position", "residual")
STACKS = ("encoder", "decoder")
DEFAULT_INITIALIZATION = {"name": "normal"}

_INT = Scalar(int)
LAYER_OPTIONS = (
    Option("heads", _INT, 4),
    Option("head_dim", Maybe(_INT), None),
    Option("hidden", Maybe(_INT), None),
    Option("dropout", Scalar(float), 0.0),
)
STACK_OPTIONS = (
    Option("layers", _INT, 4),
    Option("distinct_layers", Maybe(_INT), None),
    *LAYER_OPTIONS,
    Option("input_norm", Scalar(bool), False),
)
WHERE = (
    Option("first", Maybe(_INT), None),
    Option("last", Maybe(_INT), None),
    Option("every", Maybe(_INT), None),
    Option("offset", Maybe(_INT), None),
    Option("at", Maybe(Many(_INT)), None),
)
PLACES = ("first", "last", "every", "at")


def list_model_options() -> tuple[Option, ...]:
    """Lists the options of a model other than its slots."""
    here = Path(__file__).parent
    return (
        Option("variant", Choice(VARIANTS)),
        Option("dim", _INT, 256),
        Option("vocabulary", Maybe(_INT), None),
        *STACK_OPTIONS,
        _create_record_option("embedding", _read_signature(here / "embedding.py", "Embedding")),
        _allow_null(_create_record_option("head", _read_signature(here / "head.py", "Head"))),
        Option("pooler", Scalar(bool), False),
    )


def _read_signature(file: Path, cls: str) -> Record:
    tree = parse_file(file)
    return Record(cls, read_tree_options(tree, find_class(tree, cls)))


def _create_record_option(name: str, record: Record) -> Option:
    return Option(name, record, {option.name: option.default for option in record.options})


def _allow_null(option: Option) -> Option:
    """Returns the option with null as a further value."""
    return Option(option.name, Maybe(option.type), option.default)


# --------------------------------------------------------------------------------------------------------- parts


def check_part(kind: str, given: Any, path: str, problems: list[str]) -> dict[str, Any]:
    """Checks a part and fills in default options.

    Args:
        kind: kind of the component.
        given: mapping with ``name`` and options.
        path: config path of the mapping.
        problems: list to which problems are appended.
    Returns:
        ``name`` and all options; empty if the component is unknown.
    """
    entry = _find_entry(kind, given, path, problems)
    if entry is None:
        return {}
    return {"name": entry.name, **check_options(entry.options, _drop_name(given), path, problems)}


def check_fragment(kind: str, bases: Sequence[str], given: Any, path: str, problems: list[str]) -> dict[str, Any]:
    """Checks a mapping that is merged into a part, without filling in defaults.

    Without a name it must be valid for one of ``bases``, the components that it may be merged into; each layer is
    checked again when it is planned.
    """
    if isinstance(given, Mapping) and "name" not in given:
        attempts: list[tuple[list[str], dict[str, Any]]] = []
        for base in dict.fromkeys(filter(None, bases)):
            found: list[str] = []
            attempts.append((found, check_fragment(kind, (), {"name": base, **given}, path, found)))
        found, checked = min(attempts, key=lambda attempt: len(attempt[0]), default=([], {}))
        problems.extend(found)
        return checked if len(attempts) == 1 else _drop_name(checked)
    entry = _find_entry(kind, given, path, problems)
    if entry is None:
        return {}
    rest = _drop_name(given)
    named = [option for option in entry.options if option.name in rest]
    checked = check_options(named, rest, path, problems, also=[option.name for option in entry.options])
    return {"name": entry.name, **_select_given(rest, checked)}


def overlay_part(kind: str, base: Mapping[str, Any], fragment: Mapping[str, Any]) -> dict[str, Any]:
    """Merges ``fragment`` into ``base`` if it has the same name; otherwise replaces the part.

    Options of a replaced ``base`` that differ from their defaults are carried over by :func:`carry_options`.
    """
    name = fragment.get("name", base.get("name"))
    if name != base.get("name"):
        options = (
            get_index().get(kind, str(base["name"])).options if (kind, base.get("name")) in get_index().entries else ()
        )
        base = {
            "name": name,
            **carry_options(kind, {**_select_changed(options, base), "name": base.get("name")}, str(name)),
        }
    return merge(base, fragment)


def carry_options(kind: str, old: Mapping[str, Any], new: str) -> dict[str, Any]:
    """Returns the options that are kept when another component replaces a part: those of equal name and type.

    Args:
        kind: kind of the components.
        old: name and chosen options of the replaced part.
        new: name of the new component.
    """
    both = [get_index().entries.get((kind, str(name))) for name in (old.get("name"), new)]
    if both[0] is None or both[1] is None:
        return {}
    return _select_common(both[0].options, both[1].options, old)


def _select_common(ours: Sequence[Option], theirs: Sequence[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    types = {option.name: option.type for option in theirs}
    kept = {}
    for option in ours:
        if option.name not in given or option.name not in types:
            continue
        value, other = given[option.name], types[option.name]
        if option.type == other:
            kept[option.name] = value
        elif isinstance(option.type, Record) and isinstance(other, Record) and isinstance(value, Mapping):
            kept[option.name] = _select_common(option.type.options, other.options, value)
    return kept


def _select_changed(options: Sequence[Option], given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options that differ from their defaults."""
    found = {}
    for option in options:
        value = given.get(option.name, option.default)
        if isinstance(option.type, Record) and isinstance(value, Mapping):
            value = _select_changed(option.type.options, value)
            if value:
                found[option.name] = value
        elif option.name in given and value != option.default:
            found[option.name] = value
    return found


def has_option(kind: str, name: str, option: str, value: Any) -> bool:
    """True if a component has an option of this dotted name that accepts ``value``; None stands for any value."""
    options = get_index().entries[kind, name].options if (kind, name) in get_index().entries else ()
    first, _, rest = option.partition(".")
    found = next((each.type for each in options if each.name == first), None)
    while rest and isinstance(found, Record):
        first, _, rest = rest.partition(".")
        found = next((each.type for each in found.options if each.name == first), None)
    if found is None or rest:
        return False
    problems: list[str] = []
    found.check(value, option, problems)
    return value is None or not problems


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merges ``over`` into ``base`` recursively; values of ``over`` win."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _find_entry(kind: str, given: Any, path: str, problems: list[str]) -> Entry | None:
    choices = get_index().get_names(kind)
    if given is None:
        problems.append(f"{path}: must be given: {suggest('', choices)}")
    elif not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        problems.append(f"{path}: must be a mapping with a name, like {{name: {choices[0]}}}: got {given!r}")
    else:
        try:
            return get_index().get(kind, given["name"])
        except Refused as error:
            problems.append(f"{path}.name: {error}")
    return None


def _drop_name(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key != "name"}


def _select_given(given: Mapping[str, Any], checked: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the checked values of the given keys, recursively."""
    return {
        key: _select_given(value, checked[key])
        if isinstance(value, Mapping) and isinstance(checked[key], Mapping)
        else checked[key]
        for key, value in given.items()
        if key in checked
    }


# --------------------------------------------------------------------------------------------------------- model


def check_model(given: Mapping[str, Any], problems: list[str], path: str = "model") -> dict[str, Any]:
    """Checks a model config and fills in defaults.

    Args:
        given: model config.
        problems: list to which problems are appended, one line each.
        path: config path of the model.
    """
    found: list[str] = []
    further = [*SLOTS, "initialization", "exceptions", *STACKS, "cross"]
    checked = check_options(list_model_options(), given, path, found, also=further)
    for slot in SLOTS:
        checked[slot] = check_part(slot, given.get(slot), join_path(path, slot), found)
    checked["initialization"] = _check_initialization(
        given.get("initialization"), join_path(path, "initialization"), found
    )
    bases = {slot: [str(checked[slot].get("name", ""))] for slot in SLOTS}
    two_stacks = checked.get("variant") == "encoder_decoder"
    for key in (*STACKS, "cross"):
        if not two_stacks and given.get(key):
            found.append(
                f"{join_path(path, key)}: only an encoder_decoder has it: got variant={checked.get('variant')}"
            )
    if two_stacks:
        cross = given.get("cross")
        checked["cross"] = None if cross is None else check_part("attention", cross, join_path(path, "cross"), found)
        for stack in STACKS:
            checked[stack] = _check_overlay(given.get(stack) or {}, bases, join_path(path, stack), found)
    checked["exceptions"] = _check_exceptions(
        given.get("exceptions") or {}, bases, join_path(path, "exceptions"), found
    )
    problems.extend(dict.fromkeys(found))
    return checked


def _check_initialization(given: Any, path: str, problems: list[str]) -> dict[str, Any]:
    """Checks the initialization and fills in defaults; without a name it is ``normal``."""
    named = {**DEFAULT_INITIALIZATION, **given} if isinstance(given, Mapping) else given or DEFAULT_INITIALIZATION
    return check_part("initialization", named, path, problems)


def _check_overlay(given: Any, bases: dict[str, list[str]], path: str, problems: list[str]) -> dict[str, Any]:
    """Checks the overlay of a stack, and adds the names that it chooses to ``bases``."""
    checked = _check_level(STACK_OPTIONS, given, {slot: names[:1] for slot, names in bases.items()}, path, problems)
    _add_names(checked, bases)
    return checked


def _add_names(checked: Mapping[str, Any], bases: Mapping[str, list[str]]) -> None:
    """Adds the component names of an overlay or exception to those that later exceptions may modify."""
    for slot in SLOTS:
        if name := checked.get(slot, {}).get("name"):
            bases[slot].append(name)


def _check_level(
    options: tuple[Option, ...], given: Any, bases: Mapping[str, Sequence[str]], path: str, problems: list[str]
) -> dict[str, Any]:
    """Checks the sizes and slots of an overlay or exception."""
    if not isinstance(given, Mapping):
        problems.append(f"{path}: must be a mapping: got {given!r}")
        return {}
    named = [option for option in options if option.name in given]
    also = [*(option.name for option in options), *SLOTS]
    checked = check_options(named, given, path, problems, also=also)
    for slot in SLOTS:
        if given.get(slot) is not None:
            checked[slot] = check_fragment(slot, bases[slot], given[slot], join_path(path, slot), problems)
    return checked


def _check_exceptions(given: Any, bases: Mapping[str, list[str]], path: str, problems: list[str]) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        problems.append(f"{path}: must be a mapping of names: got {given!r}")
        return {}
    checked = {}
    for name, what in given.items():
        if what is None:  # removed on the command line
            continue
        where = join_path(path, str(name))
        checked[str(name)] = _check_level((*WHERE, *LAYER_OPTIONS), what, bases, where, problems)
        _add_names(checked[str(name)], bases)
        if not isinstance(what, Mapping):
            continue
        if what.get("offset") is not None and what.get("every") is None:
            problems.append(f"{where}.offset: needs every: got offset={what['offset']} without every")
        places = [key for key in PLACES if what.get(key) is not None]
        if len(places) != 1:
            problems.append(
                f"{where}: must have exactly one of first, last, every, at: got {', '.join(places) or 'none'}"
            )
    return checked

"""Overrides as people write them, in the form that Hydra's grammar reads.

The grammar takes letters outside of ASCII only in quotes, and ``data.path=2024`` as a number. Here the first is quoted,
and a number, or true or false, keeps its spelling as text where the option is a string.
"""

from __future__ import annotations

import functools
import itertools
import re
import shlex
from collections.abc import Iterator

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException

from zoo import limits
from zoo.checks import Refused
from zoo.model.schema import SLOTS
from zoo.registry import Index, index
from zoo.registry.options import Maybe, Option, Scalar

_STRUCTURE = re.compile(r"[\[\]{}(),'\"]|\$\{")
"""What means more than itself in a value: lists, mappings, functions, sweeps, quotes, interpolations."""
_QUOTABLE = 200  # characters of an override that is worth being written once more
_WORD = re.compile(r"(?P<key>(?:\+\+?)?[^=@~]+)=(?P<value>.*)", re.DOTALL)


def parse_word(word: str, parser: OverridesParser | None = None) -> Override:
    """Parse one override.

    Raises:
        Refused: with the word and what the grammar says of it, and how to quote it where that helps.
    """
    if len(word) > limits.WORD:
        raise Refused(
            f"{limits.truncate(word)}: an override must have at most {limits.WORD} characters: got {len(word)}"
        )
    parser = parser or OverridesParser.create()
    try:
        return parser.parse_override(readable(word))
    except RecursionError:
        raise Refused(f"{limits.truncate(word)}: cannot be read as key=value: it is nested too deeply") from None
    except (
        HydraException,
        ValueError,
        ArithmeticError,
    ) as error:  # the latter two: of very long numbers
        why = limits.truncate(next(iter(str(error).splitlines()), type(error).__name__))
        raise Refused(f"{limits.truncate(word)}: cannot be read as key=value: {why}{_how_to_quote(word)}") from None


def readable(word: str) -> str:
    """The override with its value in quotes where only so it means the text that was written; else as it is."""
    found = _WORD.fullmatch(word)
    if found is None or len(word) > limits.WORD:
        return word
    key, value = found["key"], found["value"].strip(" \t")
    if _is_text(key.lstrip("+")) and _is_scalar(value):
        return f"{key}={quote(value)}"
    if value and not value.isascii() and not _STRUCTURE.search(value):
        return f"{key}={quote(value)}"
    return word


def quote(text: str) -> str:
    """Text in double quotes: to Hydra a backslash is a backslash, unless it stands before a quote."""
    escaped = re.sub(r'(\\*)"', lambda found: 2 * found[1] + '\\"', text)
    return '"' + re.sub(r"(\\+)\Z", lambda found: 2 * found[1], escaped) + '"'


def sweep_strings(override: Override, most: int = limits.SWEEP) -> list[str]:
    """The values of a discrete sweep, each as the part of an override after ``=``.

    Raises:
        Refused: if it has none or more than ``most``, or cannot be listed.
    """
    key, value = override.get_key_element(), override.value()
    try:
        if isinstance(value, RangeSweep) and value.shuffle:  # which Hydra lists before anyone can stop it
            _require_few(key, sum(1 for _ in itertools.islice(value.range(), most + 1)), most)
        found = list(itertools.islice(override.sweep_string_iterator(), most + 1))
    except (HydraException, ValueError, ArithmeticError) as error:
        raise Refused(f"{key}: cannot be swept: {error}: got {override.input_line}") from None
    if not found:
        raise Refused(f"{key}: must have at least one value in a sweep: got {override.input_line}")
    _require_few(key, len(found), most)
    return found


def _require_few(key: str, count: int, most: int) -> None:
    if count > most:
        raise Refused(f"{key}: must have at most {most} values in a sweep: got more")


def _how_to_quote(word: str) -> str:
    found = _WORD.fullmatch(word)
    if found is None or len(word) > _QUOTABLE:
        return ""
    quoted = f"{found['key']}={quote(found['value'])}"
    try:
        OverridesParser.create().parse_override(quoted)
    except (HydraException, RecursionError):
        return ""
    return f"; as text it must be quoted: {shlex.quote(quoted)}"


def _is_scalar(value: str) -> bool:
    """True for what the grammar reads as a number, true or false."""
    if not re.fullmatch(r"[-+.\w]{1,400}", value):
        return False
    try:
        return isinstance(OverridesParser.create().parse_override(f"key={value}").value(), int | float)
    except HydraException:
        return False


def _is_text(key: str) -> bool:
    return key in _text_keys(index())


@functools.lru_cache(maxsize=1)
def _text_keys(known: Index) -> frozenset[str]:
    """Keys of a training's config whose option is a string."""
    from zoo.config.checking import RUN_OPTIONS

    places = {"data": ["data"], "tokenizer": ["data.tokenizer"], "objective": ["objective"]}
    places |= {slot: [f"model.{slot}"] for slot in (*SLOTS, "initialization")}
    keys = {"model.path", *_strings(RUN_OPTIONS)}
    for (kind, _), entry in known.entries.items():
        keys |= {f"{place}.{name}" for place in places[kind] for name in _strings(entry.options)}
    return frozenset(keys)


def _strings(options: tuple[Option, ...]) -> Iterator[str]:
    for option in options:
        inner = option.type.inner if isinstance(option.type, Maybe) else option.type
        if inner == Scalar(str):
            yield option.name

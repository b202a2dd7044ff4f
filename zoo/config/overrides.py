"""Parsing of overrides, with quotes added where the grammar of Hydra needs them.

The grammar accepts non-ASCII letters only in quotes, and reads ``data.path=2024`` as a number. Here, the former are
quoted, and so are numbers, true and false where the option is a string.
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
from zoo.config.run_options import RUN_OPTIONS
from zoo.model.schema import SLOTS
from zoo.registry import Index, get_index
from zoo.registry.options import Maybe, Option, Scalar

_STRUCTURE = re.compile(r"[\[\]{}(),'\"]|\$\{")
"""Characters with a meaning in the grammar: lists, mappings, functions, sweeps, quotes, interpolations."""
_QUOTABLE = 200  # characters of the longest override that a message repeats
_WORD = re.compile(r"(?P<key>(?:\+\+?)?[^=@~]+)=(?P<value>.*)", re.DOTALL)


def parse_word(word: str, parser: OverridesParser | None = None) -> Override:
    """Parses one override.

    Raises:
        Refused: with the word, the error of the grammar, and how to quote the word if that helps.
    """
    if len(word) > limits.WORD:
        raise Refused(
            f"{limits.truncate(word)}: an override must have at most {limits.WORD} characters: got {len(word)}"
        )
    parser = parser or OverridesParser.create()
    try:
        return parser.parse_override(quote_if_needed(word))
    except RecursionError:
        raise Refused(f"{limits.truncate(word)}: cannot be read as key=value: it is nested too deeply") from None
    except (
        HydraException,
        ValueError,
        ArithmeticError,
    ) as error:  # the latter two: of very long numbers
        why = limits.truncate(next(iter(str(error).splitlines()), type(error).__name__))
        raise Refused(f"{limits.truncate(word)}: cannot be read as key=value: {why}{_suggest_quotes(word)}") from None


def quote_if_needed(word: str) -> str:
    """Quotes the value of an override if the grammar would misread it; returns other overrides unchanged."""
    found = _WORD.fullmatch(word)
    if found is None or len(word) > limits.WORD:
        return word
    key, value = found["key"], found["value"].strip(" \t")
    if _is_text(key.lstrip("+")) and _is_scalar(value):
        return f"{key}={quote_text(value)}"
    if value and not value.isascii() and not _STRUCTURE.search(value):
        return f"{key}={quote_text(value)}"
    return word


def quote_text(text: str) -> str:
    """Puts text in double quotes; Hydra reads a backslash literally, except before a quote."""
    escaped = re.sub(r'(\\*)"', lambda found: 2 * found[1] + '\\"', text)
    return '"' + re.sub(r"(\\+)\Z", lambda found: 2 * found[1], escaped) + '"'


def list_sweep_values(override: Override, most: int = limits.SWEEP) -> list[str]:
    """Lists the values of a discrete sweep, each as written after ``=``.

    Raises:
        Refused: if there are none or more than ``most``, or they cannot be listed.
    """
    key, value = override.get_key_element(), override.value()
    try:
        if isinstance(value, RangeSweep) and value.shuffle:  # Hydra lists all values before it shuffles them
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


def _suggest_quotes(word: str) -> str:
    found = _WORD.fullmatch(word)
    if found is None or len(word) > _QUOTABLE:
        return ""
    quoted = f"{found['key']}={quote_text(found['value'])}"
    try:
        OverridesParser.create().parse_override(quoted)
    except (HydraException, RecursionError):
        return ""
    return f"; as text it must be quoted: {shlex.quote(quoted)}"


def _is_scalar(value: str) -> bool:
    """True for values that the grammar reads as a number or a boolean."""
    if not re.fullmatch(r"[-+.\w]{1,400}", value):
        return False
    try:
        return isinstance(OverridesParser.create().parse_override(f"key={value}").value(), int | float)
    except HydraException:
        return False


def _is_text(key: str) -> bool:
    return key in _list_text_keys(get_index())


@functools.lru_cache(maxsize=1)
def _list_text_keys(known: Index) -> frozenset[str]:
    """Lists the keys of string options."""
    places = {"data": ["data"], "tokenizer": ["data.tokenizer"], "objective": ["objective"]}
    places |= {slot: [f"model.{slot}"] for slot in (*SLOTS, "initialization")}
    keys = {"model.path", *_list_strings(RUN_OPTIONS)}
    for (kind, _), entry in known.entries.items():
        keys |= {f"{place}.{name}" for place in places[kind] for name in _list_strings(entry.options)}
    return frozenset(keys)


def _list_strings(options: tuple[Option, ...]) -> Iterator[str]:
    for option in options:
        inner = option.type.inner if isinstance(option.type, Maybe) else option.type
        if inner == Scalar(str):
            yield option.name

"""Docstrings of components, parsed into their parts."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

_SECTION = re.compile(r"^(Args|Raises|Returns|Source): ?(.*)$")
_ENTRY = re.compile(r"^    (\w+): (.*)$")


@dataclass(frozen=True)
class Docstring:
    """Parts of a docstring: its first line, the text after it, descriptions of arguments by name, and the source."""

    first: str
    text: str
    arguments: dict[str, str]
    source: str


def parse_docstring(doc: str | None) -> Docstring:
    """Parses a docstring into its parts."""
    first, *rest = inspect.cleandoc(doc or "").splitlines() or [""]
    sections: dict[str, list[str]] = {"": []}
    name = ""
    for line in rest:
        if found := _SECTION.match(line):
            name = found[1]
            sections[name] = [found[2]]
        else:
            sections[name].append(line)
    arguments = dict(_parse_arguments(sections.get("Args", [])))
    source = " ".join(line.strip() for line in sections.get("Source", []))
    return Docstring(first, "\n".join(sections[""]).strip(), arguments, source.strip())


def _parse_arguments(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yields names of arguments and their descriptions; lines indented further continue a description."""
    name, words = "", ""
    for line in lines:
        if found := _ENTRY.match(line):
            if name:
                yield name, words
            name, words = found[1], found[2]
        elif line.strip():
            words += " " + line.strip()
    if name:
        yield name, words


def describe_arguments(cls: type) -> dict[str, str]:
    """Returns the descriptions of the arguments of a class by name.

    The arguments of an inherited ``__init__`` are described in the docstring of the class that defines it.
    """
    owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
    return {**parse_docstring(owner.__doc__).arguments, **parse_docstring(cls.__doc__).arguments}

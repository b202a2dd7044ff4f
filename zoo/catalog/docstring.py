"""Docstrings of components as Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass

_SECTION = re.compile(r"^(Args|Raises|Returns|Source): ?(.*)$")
_ENTRY = re.compile(r"^    (\w+): (.*)$")


@dataclass(frozen=True)
class Docstring:
    """A docstring taken apart: its first line, what follows, arguments by name, and the source; as it is written."""

    first: str
    text: str
    arguments: dict[str, str]
    source: str


def read(doc: str | None) -> Docstring:
    """Take a docstring apart."""
    first, *rest = inspect.cleandoc(doc or "").splitlines() or [""]
    sections: dict[str, list[str]] = {"": []}
    name = ""
    for line in rest:
        if found := _SECTION.match(line):
            name = found[1]
            sections[name] = [found[2]]
        else:
            sections[name].append(line)
    arguments = dict(_entries(sections.get("Args", [])))
    source = " ".join(line.strip() for line in sections.get("Source", []))
    return Docstring(first, "\n".join(sections[""]).strip(), arguments, source.strip())


def _entries(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Names and what is said of them; a deeper line goes on with the one before."""
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


def markdown(text: str) -> str:
    """Plain text with double backticks as Markdown; papers become links."""
    parts = re.split(r"``(.+?)``", text)
    return "".join(f"`{part}`" if place % 2 else _escaped(part) for place, part in enumerate(parts))


def cell(text: str) -> str:
    """Markdown inside a table, where a bar would end the cell even in code."""
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))


def paper_link(paper: str | None) -> str:
    """``arXiv:…`` or ``doi:…`` as a link; nothing for none."""
    return _linked(paper or "")


def _escaped(text: str) -> str:
    """With what Markdown would take for its own signs told apart: a star between blanks is none of them."""
    return _linked(re.sub(r"(\\|\*(?=\S)|(?<=\S)\*|(?<!\w)_|<(?=[A-Za-z/!]))", r"\\\1", text))


def _linked(text: str) -> str:
    text = re.sub(r"arXiv:([\w.-]+/\d+|\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
    return re.sub(r"doi:(10\.\d+/[\w./-]*\w)", r"[doi:\1](https://doi.org/\1)", text)

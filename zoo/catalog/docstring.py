"""Docstrings of components, parsed and converted to Markdown."""

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


def to_markdown(text: str) -> str:
    """Converts text with double backticks to Markdown, with papers as links."""
    parts = re.split(r"``(.+?)``", text)
    return "".join(f"`{part}`" if place % 2 else _escape_text(part) for place, part in enumerate(parts))


def escape_cell(text: str) -> str:
    """Escapes Markdown for a cell of a table, where a bar ends the cell even in code."""
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))


def link_paper(paper: str | None) -> str:
    """Formats ``arXiv:…`` or ``doi:…`` as a link; empty for None."""
    return _link_papers(paper or "")


def _escape_text(text: str) -> str:
    """Escapes characters that Markdown would interpret; a star between spaces is not one of them."""
    return _link_papers(re.sub(r"(\\|\*(?=\S)|(?<=\S)\*|(?<!\w)_|<(?=[A-Za-z/!]))", r"\\\1", text))


def _link_papers(text: str) -> str:
    text = re.sub(r"arXiv:([\w.-]+/\d+|\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
    return re.sub(r"doi:(10\.\d+/[\w./-]*\w)", r"[doi:\1](https://doi.org/\1)", text)

"""Markdown that says what it is given, whatever that holds."""

from __future__ import annotations

import re
from collections.abc import Sequence

_INLINE = re.compile(r"[\\`*\[\]|~$]|<(?=[A-Za-z/!?])|&(?=[A-Za-z#])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_LEADING = re.compile(r"^(?:[-+=>#]|\d+(?=[.)](?:\s|$)))")


def plain(text: str) -> str:
    """A text on one line, as it is: nothing in it is markup, a link, a heading or the end of a cell."""
    line = re.sub(r"(?:[^\S\u00a0]|[\x00-\x1f\x7f])+", " ", text)
    escaped = _INLINE.sub(r"\\\g<0>", line.strip(" "))
    return _LEADING.sub(lambda found: f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}", escaped)


def code(text: str) -> str:
    """A text in the type of code, within a cell."""
    line = re.sub(r"\s+", " ", text)
    if "\\|" in line:  # which readers of tables disagree on within code
        return plain(line)
    ticks = "`" * (max((len(run) for run in re.findall(r"`+", line)), default=0) + 1)
    pad = " " if line[:1] in ("`", " ", "") or line[-1:] in ("`", " ") else ""
    return f"{ticks}{pad}{line}{pad}{ticks}".replace("|", "\\|")


def block(text: str) -> str:
    """Lines of code."""
    fence = "`" * max(3, max((len(run) for run in re.findall(r"`+", text)), default=0) + 1)
    return f"{fence}\n{text}\n{fence}"


def image(text: str, path: str) -> str:
    """A picture, and what stands for it where it cannot be seen."""
    return f"![{plain(text)}]({path})"


def table_of(headings: Sequence[str], lines: Sequence[Sequence[str]], texts: int = 1) -> str:
    """A table; its cells are Markdown already. The first ``texts`` columns are texts, the others numbers."""
    rule = [*["---"] * texts, *["---:"] * (len(headings) - texts)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, rule, *lines))

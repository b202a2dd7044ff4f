"""Escaping of arbitrary text for Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

_INLINE = re.compile(r"[\\`*\[\]|~$]|<(?=[A-Za-z/!?])|&(?=[A-Za-z#])|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_LEADING = re.compile(r"^(?:[-+=>#]|\d+(?=[.)](?:\s|$)))")


def escape_markdown(text: str) -> str:
    """Escapes a text so that it appears literally on one line: no markup, link, heading or end of a cell."""
    line = re.sub(r"(?:[^\S\u00a0]|[\x00-\x1f\x7f])+", " ", text)
    escaped = _INLINE.sub(r"\\\g<0>", line.strip(" "))
    return _LEADING.sub(lambda found: f"{found[0]}\\" if found[0].isdigit() else f"\\{found[0]}", escaped)


def format_code(text: str) -> str:
    """Formats a text as inline code that is valid in a table cell."""
    line = re.sub(r"\s+", " ", text)
    if "\\|" in line:  # which readers of tables disagree on within code
        return escape_markdown(line)
    ticks = "`" * (max((len(run) for run in re.findall(r"`+", line)), default=0) + 1)
    pad = " " if line[:1] in ("`", " ", "") or line[-1:] in ("`", " ") else ""
    return f"{ticks}{pad}{line}{pad}{ticks}".replace("|", "\\|")


def format_block(text: str) -> str:
    """Formats a code block."""
    fence = "`" * max(3, max((len(run) for run in re.findall(r"`+", text)), default=0) + 1)
    return f"{fence}\n{text}\n{fence}"


def format_image(text: str, path: str) -> str:
    """Formats an image with its alternative text."""
    return f"![{escape_markdown(text)}]({path})"


def format_table(headings: Sequence[str], lines: Sequence[Sequence[str]], texts: int = 1) -> str:
    """Formats a table of Markdown cells; the first ``texts`` columns are left-aligned, the others right-aligned."""
    rule = [*["---"] * texts, *["---:"] * (len(headings) - texts)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, rule, *lines))

"""HTML fragments for notebooks: every text in them is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from zoo.system.terminal import escape_controls


def format_html_table(rows: Mapping[str, Sequence[str]], caption: str = "") -> str:
    """Returns a table with one row for each key, which is its first cell."""
    lines = "".join(f"<tr><th>{_escape(name)}</th>{_cells(cells)}</tr>" for name, cells in rows.items())
    return f"<table>{f'<caption>{_escape(caption)}</caption>' if caption else ''}{lines}</table>"


def format_html_text(text: str) -> str:
    """Returns preformatted text."""
    return f"<pre>{_escape(text)}</pre>"


def _cells(cells: Sequence[str]) -> str:
    return "".join(f"<td>{_escape(cell)}</td>" for cell in cells)


def _escape(text: str) -> str:
    return escape(escape_controls(text))

"""Parser of ``metrics.csv``, which a killed run may have left with an incomplete line."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.checks import Refused
from zoo.system.files import Damaged
from zoo.system.input_files import read_text


@dataclass(frozen=True)
class MetricsTable:
    """Content of ``metrics.csv``.

    Attributes:
        columns: names of the columns.
        rows: text of the cells that are not empty, by column; each is a number.
        incomplete: number of lines that are left out because a kill cut them off.
    """

    columns: tuple[str, ...] = ()
    rows: tuple[dict[str, str], ...] = ()
    incomplete: int = 0


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Returns the rows of :func:`parse_metrics`."""
    return list(parse_metrics(path).rows)


def parse_metrics(path: Path) -> MetricsTable:
    """Parses ``metrics.csv``; the table is empty if there is no such file.

    A line is incomplete if it does not end with a line feed, or has another number of cells than the header, as when a
    later process appended to a line that a kill had cut off.

    Raises:
        Damaged: if the file is not text, or a complete line has no step or a cell that is not a number; the message
            gives file, line and value.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        return MetricsTable()
    except Refused as error:
        raise Damaged(str(error)) from None
    *lines, rest = text.split("\n")
    try:
        header, *cells = [*csv.reader(lines)] or [[]]
    except csv.Error as error:
        raise Damaged(f"{path}: must be CSV: {error}") from None
    rows = []
    incomplete = int(bool(rest.strip()))
    for number, line in enumerate(cells, 2):
        if len(line) == len(header):
            rows.append(_build_row(path, number, header, line))
        elif line:
            incomplete += 1
    return MetricsTable(tuple(header), tuple(rows), incomplete)


def _build_row(path: Path, number: int, header: Sequence[str], line: Sequence[str]) -> dict[str, str]:
    row = {name: cell for name, cell in zip(header, line, strict=True) if name and cell}
    if "step" not in row or not all(map(_is_number, row.values())):
        raise Damaged(f"{path}: line {number} must have a step, and numbers only: got {str(list(row.values()))[:60]}")
    return row


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

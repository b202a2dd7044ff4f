"""Reading ``metrics.csv``, which a killed run may have left incomplete."""

from __future__ import annotations

import csv
from pathlib import Path

from zoo.checks import Refused
from zoo.system.files import Damaged
from zoo.system.input_files import read_text


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Reads the complete lines of a metrics file; a last line that a kill cut off is left out.

    Raises:
        Damaged: if it is not a text file, or a value is not a number; the message names file, line and value.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        return []
    except Refused as error:
        raise Damaged(str(error)) from None
    whole = text[: text.rfind("\n") + 1]  # a line counts once its line break is written
    try:
        lines = list(csv.DictReader(whole.splitlines()))
    except csv.Error as error:
        raise Damaged(f"{path}: must be CSV: {error}") from None
    rows = [{key: value for key, value in line.items() if key and value} for line in lines]
    for number, line in enumerate(rows, 2):
        if "step" not in line or any(_parse_number(value) is None for value in line.values()):
            got = str(list(line.values()))[:60]
            raise Damaged(f"{path}: line {number} must have a step, and numbers only: got {got}")
    return rows


def _parse_number(text: str) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None

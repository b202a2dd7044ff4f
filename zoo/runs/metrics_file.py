"""Reading ``metrics.csv``, in whatever state a run left it."""

from __future__ import annotations

import csv
from pathlib import Path

from zoo.checks import Refused
from zoo.system.files import Damaged
from zoo.system.input_files import read_text


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Complete lines of an earlier process; a last line that was cut off by a kill is left out.

    Raises:
        Damaged: if it is no file of text, or holds something else than numbers; names file, line and value.
    """
    try:
        text = read_text(path)
    except FileNotFoundError:
        return []
    except Refused as error:
        raise Damaged(str(error)) from None
    whole = text[: text.rfind("\n") + 1]
    try:
        lines = list(csv.DictReader(whole.splitlines()))
    except csv.Error as error:
        raise Damaged(f"{path}: must be CSV: {error}") from None
    found = [{key: value for key, value in line.items() if key and value} for line in lines]
    for number, line in enumerate(found, 2):
        if "step" not in line or any(_number(value) is None for value in line.values()):
            raise Damaged(f"{path}: line {number} must hold numbers and a step: got {str(list(line.values()))[:60]}")
    return found


def _number(text: str) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None

"""Reading ``metrics.csv``, without Lightning: what looks at runs needs no trainer."""

from __future__ import annotations

import csv
from pathlib import Path


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Complete lines of an earlier process; a last line that was cut off by a kill is left out."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf8")
    whole = text[: text.rfind("\n") + 1]
    lines = list(csv.DictReader(whole.splitlines()))
    return [{key: value for key, value in line.items() if key and value} for line in lines if line.get("step")]

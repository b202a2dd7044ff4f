"""From finished runs to tables, charts and one page that a sceptical reader can check.

:func:`read_run` and :func:`runs_study` read run folders; :func:`summary` makes the tables, once;
:func:`print_summary` shows them in a terminal, :func:`write_report` on a page.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from zoo.report.metrics import Metric
from zoo.report.records import Run, Study, Task, read_run, runs_study
from zoo.report.table import Cell, Row, Table, summary
from zoo.report.terminal import print_summary

__all__ = [
    "Cell",
    "Metric",
    "Row",
    "Run",
    "Study",
    "Table",
    "Task",
    "print_summary",
    "read_run",
    "runs_study",
    "summary",
    "write_report",
]


def write_report(study: Study, runs: Sequence[Run], folder: Path) -> Path:
    """Write ``folder/report.html`` and ``folder/report.json``, each whole or not at all; the path of the page.

    The page needs nothing but itself: no network, no server.
    """
    from zoo.report.html import page  # late: charts take a second to import
    from zoo.report.numbers import numbers

    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("report.json", numbers(study, runs)), ("report.html", page(study, runs))):
        unfinished = folder / f"{name}.{os.getpid()}.part"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(folder / name)
    return folder / "report.html"

"""From finished runs to tables, charts and a report that a sceptical reader can check.

:func:`read_run` and :func:`runs_study` read run folders; :func:`join` puts studies side by side; :func:`summary`
makes the tables; :func:`print_summary` shows them in a terminal, :func:`write_report` on a page, in Markdown and for
machines, and :func:`print_folder` says where that is.
"""

from __future__ import annotations

from zoo.report.claims.table import Cell, Row, Table, summary
from zoo.report.output.terminal_tables import print_folder, print_summary
from zoo.report.output.write import write_report
from zoo.report.records.combine import join
from zoo.report.records.metrics import Metric
from zoo.report.records.records import Judging, Moved, Run, Study, Task, read_run, runs_study

__all__ = [
    "Cell",
    "Judging",
    "Metric",
    "Moved",
    "Row",
    "Run",
    "Study",
    "Table",
    "Task",
    "join",
    "print_folder",
    "print_summary",
    "read_run",
    "runs_study",
    "summary",
    "write_report",
]

"""From finished runs to tables, charts and a report that a sceptical reader can check.

:func:`read_run` and :func:`runs_study` read run folders; :func:`join` puts studies side by side; :func:`summary`
makes the tables; :func:`print_summary` shows them in a terminal, :func:`write_report` on a page, in Markdown and for
machines, and :func:`print_folder` says where that is.
"""

from __future__ import annotations

from zoo.report.joined import join
from zoo.report.metrics import Metric
from zoo.report.records import Judging, Moved, Run, Study, Task, read_run, runs_study
from zoo.report.table import Cell, Row, Table, summary
from zoo.report.terminal import print_folder, print_summary
from zoo.report.written import write_report

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

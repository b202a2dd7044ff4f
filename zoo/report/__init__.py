"""Tables, charts and a report, computed from finished runs.

:func:`read_run` and :func:`build_study` read run folders, :func:`combine_studies` merges studies, :func:`build_tables`
computes the tables, :func:`print_summary` prints them in a terminal, :func:`write_report` writes them as a page, as
Markdown and as data, and :func:`print_folder` prints where the report is.
"""

from __future__ import annotations

from zoo.report.claims.table import Cell, Row, Table, build_tables
from zoo.report.output.terminal_tables import print_folder, print_summary
from zoo.report.output.write import write_report
from zoo.report.records.adhoc_study import ComparisonOptions, build_study
from zoo.report.records.combine import combine_studies
from zoo.report.records.metrics import Metric
from zoo.report.records.records import Match, Run, Study, Task, read_run

__all__ = [
    "Cell",
    "ComparisonOptions",
    "Match",
    "Metric",
    "Row",
    "Run",
    "Study",
    "Table",
    "Task",
    "build_study",
    "build_tables",
    "combine_studies",
    "print_folder",
    "print_summary",
    "read_run",
    "write_report",
]

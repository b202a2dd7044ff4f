"""A report in all its forms, written so that each file is there whole or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from zoo.report.csvs import runs_csv, table_csv
from zoo.report.numbers import numbers
from zoo.report.records import Run, Study, up_to_date
from zoo.report.table import Table, summary


def write_report(study: Study, runs: Sequence[Run], folder: Path) -> Path:
    """Write a report into ``folder``; the path of the page.

    ``report.html`` needs nothing but itself: no network, no server. ``report.md`` with the folder ``pictures`` is for a
    repository, ``report.json``, ``table.csv`` (a line an arm and task) and ``runs.csv`` (a line a run) for machines.

    Raises:
        Refused: as :func:`zoo.report.table.summary` does.
    """
    from zoo.report.html import page  # late: charts take a second to import

    runs, tables = up_to_date(runs), summary(study, runs)
    _write(folder / "report.json", numbers(study, tables))
    _write(folder / "table.csv", table_csv(tables))
    _write(folder / "runs.csv", runs_csv(runs))
    _write_markdown(study, runs, tables, folder)
    _write(folder / "report.html", page(study, runs))
    return folder / "report.html"


def write_markdown(study: Study, runs: Sequence[Run], folder: Path) -> Path:
    """Write ``report.md`` and the pictures that it shows; the path of the former. The same runs give the same bytes."""
    return _write_markdown(study, up_to_date(runs), summary(study, runs), folder)


def _write_markdown(study: Study, runs: Sequence[Run], tables: Sequence[Table], folder: Path) -> Path:
    import vl_convert

    from zoo.report.charts.style import VEGA_LITE
    from zoo.report.markdown import markdown
    from zoo.report.pictures import pictures

    shown = pictures(study, runs, tables)
    for each in shown:
        drawn = vl_convert.vegalite_to_svg(each.spec, vl_version=VEGA_LITE)
        _write(folder / "pictures" / f"{each.name}.svg", _numbered_anew(drawn))
    for path in (folder / "pictures").glob("*.svg"):
        if path.stem not in {each.name for each in shown}:
            path.unlink()  # of an earlier report
    _write(folder / "report.md", markdown(study, runs, tables, shown))
    return folder / "report.md"


def _numbered_anew(svg: str) -> str:
    """The picture with its names from 1 on; Vega goes on counting from one picture to the next."""
    names: dict[str, str] = {}
    for name in re.findall(r'\bid="([^"]+)"', svg):
        names.setdefault(name, f"{re.sub('[0-9]+$', '', name)}{len(names) + 1}")
    pattern = re.compile(r'(\bid="|url\(#|href="#)([^")]+)')
    return pattern.sub(lambda found: found[1] + names.get(found[2], found[2]), svg) + "\n"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)

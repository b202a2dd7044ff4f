"""Writes a report in all formats."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from zoo.report.claims.table import Table, build_tables
from zoo.report.output.csv_tables import format_runs_csv, format_table_csv
from zoo.report.output.json_numbers import format_json
from zoo.report.output.report_folder import find_written, write_files
from zoo.report.records.records import Run, Study, drop_stale_results
from zoo.system.installation import compute_installation_digest


def write_report(study: Study, runs: Sequence[Run], folder: Path, *, renumber: bool = False) -> Path:
    """Writes a report into ``folder`` and returns the path of the page.

    ``report.html`` needs nothing but itself: no network, no server. ``report.md`` with the folder ``pictures`` is for a
    repository, ``report.json``, ``table.csv`` (a line per arm and task) and ``runs.csv`` (a line per run) for machines.
    The same runs give the same bytes, apart from ``report.html``; a report of them that is there is not written again.
    Files that no report wrote are never touched:
    :func:`zoo.report.output.report_folder.write_files`, which also explains ``renumber``.

    Raises:
        Refused: if the study and the runs do not fit, or files that no report wrote are in the way.
    """
    runs = drop_stale_results(runs)
    inputs = _digest_inputs(study, runs)
    if (place := find_written(folder, inputs, renumber=renumber)) is not None:
        return place / "report.html"
    from zoo.report.output.html import render_page  # late: charts take a second to import

    tables = build_tables(study, runs)
    files = {
        "report.json": format_json(study, tables),
        "table.csv": format_table_csv(tables),
        "runs.csv": format_runs_csv(runs),
        **dict(_render_markdown(study, runs, tables)),
        "report.html": render_page(study, runs),
    }
    return write_files(folder, files, inputs=inputs, renumber=renumber) / "report.html"


def _digest_inputs(study: Study, runs: Sequence[Run]) -> str:
    """Computes a SHA-256 over all that a report shows, and over the code that writes it."""
    digest = hashlib.sha256(repr((compute_installation_digest(), study)).encode(errors="backslashreplace"))
    for run in runs:
        rest, result = replace(run, curves=pl.DataFrame(), result=None), run.result and run.result.as_json()
        digest.update(f"\0{rest!r}\0{result}\0{run.curves.write_csv()}".encode(errors="backslashreplace"))
    return digest.hexdigest()


def _render_markdown(study: Study, runs: Sequence[Run], tables: Sequence[Table]) -> Iterator[tuple[str, str]]:
    """Renders ``report.md`` and its pictures."""
    import vl_convert

    from zoo.report.charts.style import VEGA_LITE
    from zoo.report.output.markdown import format_markdown
    from zoo.report.output.pictures import build_pictures

    shown = build_pictures(study, runs, tables)
    for each in shown:
        drawn = vl_convert.vegalite_to_svg(each.spec, vl_version=VEGA_LITE)
        yield f"pictures/{each.name}.svg", _renumber_ids(drawn)
    yield "report.md", format_markdown(study, runs, tables, shown)


def _renumber_ids(svg: str) -> str:
    """Renumbers the ids of a picture from 1; Vega continues counting from one picture to the next."""
    names: dict[str, str] = {}
    for name in re.findall(r'\bid="([^"]+)"', svg):
        names.setdefault(name, f"{re.sub('[0-9]+$', '', name)}{len(names) + 1}")
    pattern = re.compile(r'(\bid="|url\(#|href="#)([^")]+)')
    return pattern.sub(lambda found: found[1] + names.get(found[2], found[2]), svg) + "\n"

"""The page: everything a reader needs in one file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from zoo.report.charts import charts_of_sizes, charts_of_task, drawn_first, numbered
from zoo.report.charts.style import COLOURS, dash, theme
from zoo.report.claims import format as formats
from zoo.report.claims.across_sizes import compare_sizes
from zoo.report.claims.aggregate import aggregate
from zoo.report.claims.answer import format_answer, format_budget
from zoo.report.claims.table import Table, build_tables
from zoo.report.claims.verdicts import format_design
from zoo.report.output.samples import samples
from zoo.report.output.seed_dots import of_differences, strips
from zoo.report.output.templates import bundle, environment, policy, source
from zoo.report.records.caveats import collect_facts, format_training_time, get_start_time, list_warnings
from zoo.report.records.flat_configs import ABSENT
from zoo.report.records.metrics import Metric
from zoo.report.records.records import Run, Study, drop_stale_results
from zoo.report.records.run_overview import find_config_differences, find_unfinished_seeds


def page(study: Study, runs: Sequence[Run]) -> str:
    """The whole page as text.

    Raises:
        Refused: as :func:`zoo.report.claims.table.summary` does.
    """
    tables, runs = build_tables(study, runs), drop_stale_results(runs)
    sections = [_section(study, table, [run for run in runs if run.task == table.task.name]) for table in tables]
    sizes = charts_of_sizes(study, tables)
    drawn = bool(sizes) or any(section["charts"] for section in sections)
    scripts = [bundle()] if drawn else []
    scripts.append(source("report.js"))
    return (
        environment()
        .get_template("report.html")
        .render(
            study=study,
            sections=sections,
            sizes=sizes,
            survival=compare_sizes(tables),
            aggregate=aggregate(tables),
            theme=theme(),
            arms=_arms(study, tables, runs),
            failed=[run for run in runs if run.failure is not None],
            unfinished=find_unfinished_seeds(runs),
            provenance={
                "facts": collect_facts(runs),
                "time": format_training_time(runs),
                "started": get_start_time(runs),
            },
            warnings=list_warnings(runs),
            done=sum(run.result is not None for run in runs),
            planned=len(runs),
            style=Markup(source("style.css")),
            scripts=[Markup(script) for script in scripts],
            policy=policy(scripts),
        )
    )


def _arms(study: Study, tables: Sequence[Table], runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """How each arm is drawn, whether there is something of it to draw, and whether charts begin with it."""
    present, first = {run.arm for run in runs}, drawn_first(study, tables)
    return {
        arm: {
            "colour": number % COLOURS,
            "dash": " ".join(map(str, dash(number))),
            "present": arm in present,
            "drawn": arm in first,
        }
        for arm, number in numbered(study).items()
    }


def _section(study: Study, table: Table, runs: Sequence[Run]) -> dict[str, Any]:
    """All about one task."""
    live = [row for row in table.rows if not row.not_applicable]
    judged = [run for run in runs if not run.tuning]
    charts = {chart.name: chart for chart in charts_of_task(study, table, runs)}
    columns = [strips([row.cells[i] for row in live]) for i in range(len(table.metrics))]
    return {
        "table": table,
        "answer": format_answer(table),
        "budget": format_budget(table),
        "design": format_design(table),
        "strips": {row.arm: [column[i] for column in columns] for i, row in enumerate(live)},
        "gaps": of_differences(charts["forest"].views[0]) if "forest" in charts else {},
        "charts": charts,
        "samples": samples(judged),
        "differences": find_config_differences(judged),
        "runs": [_run(run, table.metrics) for run in runs],
    }


def _run(run: Run, metrics: Sequence[Metric]) -> dict[str, Any]:
    """One line of the list of all runs."""
    told = (run.result or {}).get("metrics") or {}
    values = {m.name: float("nan") if told[m.name] is None else float(told[m.name]) for m in metrics if m.name in told}
    return {
        "arm": run.arm,
        "seed": run.seed,
        "state": _state(run),
        "values": [_text(m, values.get(m.name)) for m in metrics],
        "seconds": float((run.result or {}).get("seconds") or 0.0),
        "folder": run.folder.name,
    }


def _state(run: Run) -> str:
    state = "done" if run.result else "failed" if run.failure else "not finished"
    notes = [f"learning rate {run.rate:g} tried"] if run.tuning and run.rate is not None else []
    return ", ".join([state, *notes, *(["stale"] if run.stale else [])])


def _text(metric: Metric, value: float | None) -> tuple[str, float | str]:
    """A value as shown, and as sorted."""
    return (ABSENT, "") if value is None else (formats.format_metric(metric, value, unit=False), value)

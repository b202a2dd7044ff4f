"""``report.html``: the report as one self-contained page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from zoo.report.charts import build_size_charts, build_task_charts, number_arms, select_arms
from zoo.report.charts.style import COLORS, get_dash, get_theme
from zoo.report.claims import format as formats
from zoo.report.claims.across_sizes import compare_sizes
from zoo.report.claims.aggregate import aggregate
from zoo.report.claims.answer import format_answer, format_budget
from zoo.report.claims.table import Table, build_tables
from zoo.report.claims.verdicts import format_design
from zoo.report.output.samples import collect_samples
from zoo.report.output.seed_dots import build_difference_strips, build_strips
from zoo.report.output.templates import build_bundle, get_environment, read_source
from zoo.report.records.caveats import collect_facts, format_training_time, get_start_time, list_warnings
from zoo.report.records.metrics import Metric
from zoo.report.records.records import Run, Study, drop_stale_results
from zoo.report.records.run_overview import find_config_differences, find_unfinished_seeds
from zoo.runs.flat_configs import ABSENT
from zoo.system.pages import build_policy


def render_page(study: Study, runs: Sequence[Run]) -> str:
    """Renders the page.

    Raises:
        Refused: as :func:`zoo.report.claims.table.build_tables` does.
    """
    tables, runs = build_tables(study, runs), drop_stale_results(runs)
    sections = [_build_section(study, table, [run for run in runs if run.task == table.task.name]) for table in tables]
    sizes = build_size_charts(study, tables)
    drawn = bool(sizes) or any(section["charts"] for section in sections)
    scripts = [build_bundle()] if drawn else []
    scripts.append(read_source("report.js"))
    return (
        get_environment()
        .get_template("report.html")
        .render(
            study=study,
            sections=sections,
            sizes=sizes,
            survival=compare_sizes(tables),
            aggregate=aggregate(tables),
            theme=get_theme(),
            arms=_build_arms(study, tables, runs),
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
            style=Markup(read_source("style.css")),
            scripts=[Markup(script) for script in scripts],
            policy=build_policy(scripts),
        )
    )


def _build_arms(study: Study, tables: Sequence[Table], runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """Returns color and dash of each arm, whether it has runs, and whether charts show it at first."""
    present, first = {run.arm for run in runs}, select_arms(study, tables)
    return {
        arm: {
            "color": number % COLORS,
            "dash": " ".join(map(str, get_dash(number))),
            "present": arm in present,
            "drawn": arm in first,
        }
        for arm, number in number_arms(study).items()
    }


def _build_section(study: Study, table: Table, runs: Sequence[Run]) -> dict[str, Any]:
    """Collects the content about one task."""
    live = [row for row in table.rows if not row.not_applicable]
    judged = [run for run in runs if not run.tuning]
    charts = {chart.name: chart for chart in build_task_charts(study, table, runs)}
    columns = [build_strips([row.cells[i] for row in live]) for i in range(len(table.metrics))]
    return {
        "table": table,
        "answer": format_answer(table),
        "budget": format_budget(table),
        "design": format_design(table),
        "strips": {row.arm: [column[i] for column in columns] for i, row in enumerate(live)},
        "gaps": build_difference_strips(charts["forest"].views[0]) if "forest" in charts else {},
        "charts": charts,
        "samples": collect_samples(judged),
        "differences": find_config_differences(judged),
        "runs": [_build_run(run, table.metrics) for run in runs],
    }


def _build_run(run: Run, metrics: Sequence[Metric]) -> dict[str, Any]:
    """Builds a line of the list of runs."""
    values = {name: float("nan") if value is None else value for name, value in run.metrics.items()}
    return {
        "arm": run.arm,
        "seed": run.seed,
        "state": _describe_state(run),
        "values": [_format_value(m, values.get(m.name)) for m in metrics],
        "seconds": run.seconds,
        "folder": run.folder.name,
    }


def _describe_state(run: Run) -> str:
    state = "done" if run.result else "failed" if run.failure else "not finished"
    notes = [f"learning-rate sweep at {run.rate:g}"] if run.tuning and run.rate is not None else []
    return ", ".join([state, *notes, *(["stale"] if run.stale else [])])


def _format_value(metric: Metric, value: float | None) -> tuple[str, float | str]:
    """Returns a value as displayed and as a sort key."""
    return (ABSENT, "") if value is None else (formats.format_metric(metric, value, unit=False), value)

"""``report.md``: the report as Markdown with pictures, for a repository."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from zoo.report.claims.across_sizes import compare_sizes
from zoo.report.claims.aggregate import aggregate
from zoo.report.claims.answer import format_answer, format_budget, format_matches
from zoo.report.claims.format import format_difference, format_mean, format_probability
from zoo.report.claims.table import Row, Table
from zoo.report.claims.verdicts import explain_missing_verdict, format_design, format_interactions
from zoo.report.output.markdown_escape import escape_markdown, format_block, format_code, format_image, format_table
from zoo.report.output.pictures import Picture
from zoo.report.output.terminal_tables import format_seeds
from zoo.report.records.caveats import collect_facts, format_energy, format_training_time, get_start_time, list_warnings
from zoo.report.records.metrics import Metric
from zoo.report.records.records import Run, Study
from zoo.report.records.run_overview import find_config_differences, find_unfinished_seeds
from zoo.runs.flat_configs import ABSENT
from zoo.system.terminal import escape_controls
from zoo.system.units import format_count, format_duration, format_quantity


def format_markdown(study: Study, runs: Sequence[Run], tables: Sequence[Table], pictures: Sequence[Picture]) -> str:
    """Formats the report as Markdown: the answer, then tables and pictures. The same runs give the same text.

    Args:
        study: the study.
        runs: all runs, stale ones without their results.
        tables: tables of the study.
        pictures: pictures in the folder ``pictures``.
    """
    judged = [run for run in runs if not run.tuning]
    done = sum(run.result is not None for run in judged)
    state = f"{done} of {len(judged)} runs finished" + (f"; baseline: {study.baseline}" if study.baseline else "")
    tasks = {table.task.name for table in tables}
    parts: list[str] = [f"# {escape_markdown(study.name)}", f"**{escape_markdown(study.question)}**"]
    parts += [f"Expected beforehand: {escape_markdown(study.expected)}"] if study.expected else []
    heading = "## The answer" if done == len(judged) else "## The answer so far"
    parts += [escape_markdown(state), heading, *(escape_markdown(told) for told in _collect_answers(tables))]
    for table in tables:
        parts += [f"## {escape_markdown(table.task.name)}", *_format_task(study, table)]
        parts += _format_pictures([each for each in pictures if each.task == table.task.name])
    if rest := [each for each in pictures if each.task not in tasks]:
        parts += ["## Sizes", *_format_pictures(rest)]
    parts += _format_aggregate(tables)
    parts += ["## What differs between the arms", *_format_differences(tables, judged)]
    parts += ["## What is missing", *_format_missing(study, runs)]
    parts += ["## How it was made", *_format_provenance(study, runs)]
    return escape_controls(_remove_paths("\n\n".join(parts))) + "\n"


def _collect_answers(tables: Sequence[Table]) -> list[str]:
    suite = aggregate(tables)
    return [*(format_answer(table) for table in tables), *compare_sizes(tables), *([suite.sentence] if suite else [])]


def _format_task(study: Study, table: Table) -> Iterator[str]:
    note = table.task.note
    if not table.task.comparable:
        note = f"The losses in this table measure different things, so the arms are not compared. {note}"
    if note:
        yield escape_markdown(note)
    yield _format_results(table)
    paired = " Differences are paired by seed; their intervals are not corrected for the number of arms"
    looked = (
        " nor for looking after every seed, as that of the rule is" if table.family and table.family.max_seeds else ""
    )
    yield escape_markdown(
        "Mean ± half-width of the 95\N{NO-BREAK SPACE}% confidence interval over seeds (Student's t)."
        + (f"{paired}{looked}." if table.others else "")
    )
    if interactions := format_interactions(table):
        yield "Interactions of two changes:\n\n" + "\n".join(f"- {escape_markdown(line)}" for line in interactions)
    yield _format_costs(table)
    for told in (format_design(table), format_budget(table)):
        if told:
            yield escape_markdown(told)
    if steps := format_matches(table):
        yield "Matched to the baseline:\n\n" + "\n".join(f"- {escape_markdown(step)}" for step in steps)


def _format_results(table: Table) -> str:
    """Formats the table of results and comparisons."""
    headings = ["arm", "what differs"] + (["against"] if len(table.others) > 1 else [])
    for number, metric in enumerate(table.metrics):
        headings.append(metric.label + (" (%)" if metric.percent else ""))
        if table.others and number == 0:
            headings.append("difference" + (" (points)" if metric.percent else ""))
            headings += (["interval of the rule"] if table.family.max_seeds else ["adjusted p"]) if table.family else []
            headings += ["verdict"] if table.family else []
    headings.append("seeds")
    lines = [_format_row(table, row, len(headings)) for row in table.rows]
    return format_table([escape_markdown(heading) for heading in headings], lines, 2 + (len(table.others) > 1))


def _format_row(table: Table, row: Row, width: int) -> list[str]:
    settings = ", ".join(format_code(f"{key}={value}") for key, value in row.overrides.items())
    cells = [f"**{escape_markdown(row.arm)}**", settings]
    if row.not_applicable:
        return [*cells, f"not applicable: {escape_markdown(row.not_applicable)}", *[""] * (width - 3)]
    cells += [escape_markdown(row.against)] if len(table.others) > 1 else []
    for number, cell in enumerate(row.cells):
        cells.append(format_mean(cell.metric, cell.interval, unit=False))
        if table.others and number == 0:
            cells += [format_difference(cell.metric, cell.difference) if row.against else ""]
            cells += _format_verdict(table, row) if table.family else []
    return [*cells, escape_markdown(format_seeds(row))]


def _format_verdict(table: Table, row: Row) -> list[str]:
    one = table.get_comparison(row)
    if one is None:
        return ["", "baseline" if row.baseline else ""]
    sure = format_difference(table.metrics[0], one.interval) if one.most else format_probability(one.adjusted_p)
    why = f" ({explain_missing_verdict(one)})" if explain_missing_verdict(one) else ""
    return [sure, escape_markdown(f"{one.verdict or 'no verdict'}{why}")]


def _format_costs(table: Table) -> str:
    """Formats the table of costs, without columns that are empty."""
    rows = [row for row in table.rows if not row.not_applicable]
    speed = [row.tokens_per_second.mean if row.tokens_per_second else None for row in rows]
    more = any(row.executes_more for row in rows)
    columns = {
        "parameters": [format_count(row.parameters) for row in rows],
        "active": [format_count(row.active_parameters) for row in rows],
        "FLOPs/token": [format_count(row.flops_per_token) for row in rows],
        "executed": [format_count(row.executed_flops_per_token if more else None) for row in rows],
        "cache/token": [format_quantity(row.cache_bytes_per_token, "B") for row in rows],
        "tokens/s": [format_count(one) for one in speed],
        "peak memory": [format_quantity(row.peak_memory, "B") for row in rows],
        "time of a run": [ABSENT if row.seconds is None else format_duration(row.seconds) for row in rows],
        "energy of a run": [format_quantity(row.energy, "J") for row in rows],
        "learning rate": [ABSENT if row.rate is None else f"{row.rate:g}" for row in rows],
    }
    known = {name: column for name, column in columns.items() if any(text != ABSENT for text in column)}
    names = [f"**{escape_markdown(row.arm)}**" for row in rows]
    lines = [list(line) for line in zip(names, *known.values(), strict=True)]
    return format_table(["arm", *known], lines)


def _format_pictures(pictures: Sequence[Picture]) -> Iterator[str]:
    """Formats pictures, those with the same title and caption together."""
    for (title, caption), group in itertools.groupby(pictures, lambda each: (each.title, each.caption)):
        yield f"### {escape_markdown(title)}"
        yield "\n\n".join(format_image(f"{title}, {each.task}", f"pictures/{each.name}.svg") for each in group)
        yield escape_markdown(caption)


def _format_aggregate(tables: Sequence[Table]) -> list[str]:
    suite = aggregate(tables)
    if suite is None:
        return []
    share = Metric("share", "higher", "share", percent=True)
    ranked = sorted(suite.scores.items(), key=lambda item: -item[1].mean)
    lines = [[f"**{escape_markdown(arm)}**", format_mean(share, one), str(one.count)] for arm, one in ranked]
    return ["## All tasks together", format_table(["arm", "score", "runs"], lines), escape_markdown(suite.note)]


def _format_differences(tables: Sequence[Table], runs: Sequence[Run]) -> Iterator[str]:
    for table in tables:
        found = find_config_differences([run for run in runs if run.task == table.task.name])
        if not found:
            yield f"On {escape_markdown(table.task.name)}, the configs do not differ."
            continue
        arms = list(next(iter(found.values())))
        lines = [[format_code(key), *map(format_code, values.values())] for key, values in found.items()]
        differences = format_table(["key", *map(escape_markdown, arms)], lines, 1 + len(arms))
        number = f"{len(found)} {'key' if len(found) == 1 else 'keys'}"
        summary = f"{number} of the full configs on {escape_markdown(table.task.name)}"
        yield f"<details>\n<summary>{summary}</summary>\n\n{differences}\n\n</details>"


def _format_missing(study: Study, runs: Sequence[Run]) -> Iterator[str]:
    waiting = find_unfinished_seeds(runs)
    failed = [
        f"{run.arm} on {run.task}, seed {run.seed}: {run.failure.error or 'no error message'}"
        for run in runs
        if run.failure is not None
    ]
    unfinished = [f"{arm} on {task}: seeds {', '.join(map(str, missing))}" for (arm, task), missing in waiting.items()]
    absent = [f"{arm} on {task}: {why}" for arm, task, why in study.not_applicable]
    if not (failed or unfinished or absent):
        yield "Every planned run has finished."
    for title, lines in (("Failed", failed), ("Not finished", unfinished), ("Not applicable", absent)):
        if lines:
            yield f"### {title}\n\n" + "\n".join(f"- {escape_markdown(line)}" for line in lines)


def _format_provenance(study: Study, runs: Sequence[Run]) -> Iterator[str]:
    if told := list_warnings(runs):
        yield "\n".join(f"- **{escape_markdown(warning)}**" for warning in told)
    if study.command:
        yield f"Command that reproduces the study:\n\n{format_block(study.command)}"
    if not any(run.result for run in runs):
        yield "No run has finished yet."
        return
    known = {
        "training time, all runs": format_training_time(runs),
        "energy": format_energy(runs),
        "first run started": get_start_time(runs),
    }
    lines = [[name, value] for name, value in known.items() if value]
    for name, values in collect_facts(runs).items():
        several = len(values) > 1
        lines.append(
            [
                escape_markdown(name),
                ", ".join(format_code(value) + (f" ({n} runs)" if several else "") for value, n in values.items()),
            ]
        )
    yield format_table(["what", "how"], lines, 2)


def _remove_paths(text: str) -> str:
    """Removes the folders of this machine, so that the same runs give the same text on any machine."""
    for place, name in ((Path.cwd(), ""), (Path.home(), "…/")):
        if place != Path(place.anchor):
            text = re.sub(rf"{re.escape(str(place))}/", name, text)
    return text

"""The page: everything a reader needs in one file."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from zoo.report import format as formats
from zoo.report.answer import answer, budget
from zoo.report.charts import COLOURS, VEGA_LITE, chart, dash
from zoo.report.configs import ABSENT, differing, texts
from zoo.report.metrics import Metric
from zoo.report.provenance import facts, started, time_spent, warnings
from zoo.report.records import Run, Study
from zoo.report.samples import samples
from zoo.report.strips import strips
from zoo.report.table import Table, summary
from zoo.report.verdicts import design, missing

_GLOBALS = "window.vegaEmbed = vegaEmbed;"  # what report.js needs of the bundle


def page(study: Study, runs: Sequence[Run]) -> str:
    """The whole page as text.

    Raises:
        Refused: as :func:`zoo.report.table.summary` does.
    """
    arms = {arm: number for number, arm in enumerate(study.arms)}
    of_task = {task.name: [run for run in runs if run.task == task.name] for task in study.tasks}
    sections = [_section(table, arms, of_task[table.task.name]) for table in summary(study, runs)]
    drawn = any(section["chart"] for section in sections)
    scripts = [_plain(vl_convert.javascript_bundle(_GLOBALS, vl_version=VEGA_LITE))] if drawn else []
    scripts.append(_source("report.js"))
    return (
        _environment()
        .get_template("report.html")
        .render(
            study=study,
            sections=sections,
            arms={arm: {"colour": i % COLOURS, "dash": " ".join(map(str, dash(i)))} for arm, i in arms.items()},
            failed=[run for run in runs if run.failure is not None],
            unfinished=_unfinished(runs),
            provenance={"facts": facts(runs), "time": time_spent(runs), "started": started(runs)},
            warnings=warnings(runs),
            done=sum(run.result is not None for run in runs),
            planned=len(runs),
            style=Markup(_source("style.css")),
            scripts=[Markup(script) for script in scripts],
            policy=_policy(scripts),
        )
    )


def _section(table: Table, arms: Mapping[str, int], runs: Sequence[Run]) -> dict[str, Any]:
    """All about one task."""
    live = [row for row in table.rows if not row.not_applicable]
    columns = [strips([row.cells[i] for row in live]) for i in range(len(table.metrics))]
    return {
        "table": table,
        "answer": answer(table),
        "budget": budget(table),
        "design": design(table),
        "strips": {row.arm: [column[i] for column in columns] for i, row in enumerate(live)},
        "chart": chart(table.task, arms, runs),
        "samples": samples(runs),
        "differences": _differences(runs),
        "runs": [_run(run, table.metrics) for run in runs],
    }


def _differences(runs: Sequence[Run]) -> dict[str, dict[str, str]]:
    """Value by arm of every key of the configs that is not the same in all arms."""
    configs: dict[str, dict[str, str]] = {}
    for run in runs:
        if run.config:
            configs.setdefault(run.arm, texts(run.config))
    keys = sorted(differing(configs.values()))
    return {key: {arm: config.get(key, ABSENT) for arm, config in configs.items()} for key in keys}


def _run(run: Run, metrics: Sequence[Metric]) -> dict[str, Any]:
    """One line of the list of all runs."""
    told = (run.result or {}).get("metrics") or {}
    values = {m.name: float("nan") if told[m.name] is None else float(told[m.name]) for m in metrics if m.name in told}
    return {
        "arm": run.arm,
        "seed": run.seed,
        "state": "done" if run.result else "failed" if run.failure else "not finished",
        "values": [_text(m, values.get(m.name)) for m in metrics],
        "seconds": float((run.result or {}).get("seconds") or 0.0),
        "folder": run.folder.name,
    }


def _text(metric: Metric, value: float | None) -> tuple[str, float | str]:
    """A value as shown, and as sorted."""
    return (ABSENT, "") if value is None else (formats.quantity(metric, value, unit=False), value)


def _unfinished(runs: Sequence[Run]) -> dict[tuple[str, str], list[int]]:
    """Seeds without an outcome by arm and task."""
    waiting: dict[tuple[str, str], list[int]] = {}
    for run in runs:
        if run.result is None and run.failure is None:
            waiting.setdefault((run.arm, run.task), []).append(run.seed)
    return waiting


def embedded(value: object) -> Markup:
    """JSON that cannot end the script element it stands in, nor begin another."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))  # ASCII: no U+2028
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def breakable(text: str) -> Markup:
    """``text``, escaped, that may break after ``_ . = / ,`` rather than anywhere."""
    return Markup("<wbr>").join(re.split(r"(?<=[_.=/,])(?=\w)", text))


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("zoo.report", "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        breakable=breakable,
        embedded=embedded,
        chance=formats.chance,
        count=formats.count,
        duration=formats.duration,
        difference=formats.difference,
        missing=missing,
        probability=formats.probability,
        with_spread=formats.with_spread,
    )
    return environment


def _source(name: str) -> str:
    return _plain(resources.files("zoo.report").joinpath("page", name).read_text(encoding="utf-8"))


def _plain(source: str) -> str:
    """A script as a browser sees it, so that its hash holds; the bundle never ends its own element."""
    return source.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script")


def _policy(scripts: Sequence[str]) -> str:
    """A content security policy: these scripts and no other, and no connection at all."""
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{value}'" for value in hashes)
    return f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {allowed}"

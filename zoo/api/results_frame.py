"""The results of runs as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl

from zoo.checks import Refused
from zoo.config.hydra_overrides import drop_hydra_overrides
from zoo.report import Run, Study
from zoo.runs.flat_configs import find_differing_keys, flatten, flatten_to_text, format_value
from zoo.runs.run_config import NOT_THE_RUN
from zoo.study.gather_runs import gather_runs
from zoo.study.plan.find_study import UnknownStudy

RunStatus = Literal["done", "stale", "failed", "not finished"]


def results(source: str | Path, *overrides: str) -> pl.DataFrame:
    """Returns one row per run: arm, task, size, seed, status, metrics, costs, config values that differ, and folder.

    Args:
        source: the folder of a run, a folder of runs, or a study by its name, folder, or file.
        overrides: keys and overrides of the study, as of :func:`zoo.study`.
    Returns:
        a table with a column for each metric by its name, for each cost as ``cost.NAME``, and for each config value in
        which the runs differ as ``config.KEY``, such as ``config.model.norm.name``; null where a run has none. Folders
        are absolute paths.
    Raises:
        Refused: if there is neither a run nor a study.
    """
    try:
        described, runs, _ = gather_runs(drop_hydra_overrides([*_names(Path(source)), *overrides]))
    except UnknownStudy as error:
        raise Refused(f"{error.name!r} is neither a folder of runs nor a study: {error.hint}") from None
    return build_frame(described, runs)


def _names(source: Path) -> list[str]:
    """Run folders in a folder of runs; else the name itself."""
    if (source / "config.yaml").exists() or (source / "study.yaml").exists() or not source.is_dir():
        return [str(source)]
    return [str(path.parent) for path in sorted(source.glob("*/config.yaml"))] or [str(source)]


def build_frame(described: Study, runs: Sequence[Run]) -> pl.DataFrame:
    """Returns the table of a study's runs."""
    tasks = {task.name: (task.of or task.name, task.size or None) for task in described.tasks}
    differing = _find_differing_values(runs)
    rows = [
        {**_row(run, *tasks.get(run.task, (run.task, None))), **values, "folder": str(run.folder.resolve())}
        for run, values in zip(runs, differing, strict=True)
    ]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    named = [{name: row.get(name) for name in columns} for row in rows]
    return pl.DataFrame(named, schema_overrides={"size": pl.String}, infer_schema_length=None)


def _row(run: Run, task: str, size: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {"arm": run.arm, "task": task, "size": size, "seed": run.seed, "status": find_status(run)}
    row |= {"learning_rate": run.rate, "tuning": run.tuning}
    return {**row, **run.metrics, **run.totals}


def _find_differing_values(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Finds the config values in which runs differ, apart from the seed; as text where their types differ."""
    configs = [flatten(run.config) for run in runs]
    found: list[dict[str, Any]] = [{} for _ in runs]
    for key in sorted(find_differing_keys(flatten_to_text(run.config) for run in runs)):
        if key.split(".")[0] in NOT_THE_RUN:
            continue
        values = [config.get(key) for config in configs]
        types = {type(value) for value in values if value is not None}
        if len(types) > 1 or not types <= {bool, int, float, str}:
            values = [None if value is None else format_value(value) for value in values]
        for row, value in zip(found, values, strict=True):
            row[f"config.{key}"] = value
    return found


def find_status(run: Run) -> RunStatus:
    """Returns what became of a run."""
    if run.result is not None:
        return "stale" if run.stale else "done"
    return "failed" if run.failure is not None else "not finished"

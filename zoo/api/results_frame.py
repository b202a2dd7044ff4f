"""The results of runs as a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl

from zoo.config.hydra_overrides import drop_hydra_overrides
from zoo.report import Run, Study
from zoo.study.gather_runs import gather_runs

RunStatus = Literal["done", "stale", "failed", "not finished"]
_SCALARS = ("diverged", "steps", "tokens", "seconds", "energy_joules")


def results(source: str | Path, *overrides: str) -> pl.DataFrame:
    """Returns one row a run: arm, task, size, seed, status, metrics, costs, and folder.

    Args:
        source: the folder of a run, a folder of runs, or a study by its name, folder, or file.
        overrides: keys and overrides of the study, as of :func:`zoo.study`.
    Returns:
        a column for each metric by its name, and one for each cost as ``cost.NAME``; null where a run has none.
    Raises:
        Refused: if there is neither a run nor a study.
    """
    described, runs, _ = gather_runs(drop_hydra_overrides([*_names(Path(source)), *overrides]))
    return build_frame(described, runs)


def _names(source: Path) -> list[str]:
    """Run folders in a folder of runs; else the name itself."""
    if (source / "config.yaml").exists() or (source / "study.yaml").exists() or not source.is_dir():
        return [str(source)]
    return [str(path.parent) for path in sorted(source.glob("*/config.yaml"))] or [str(source)]


def build_frame(described: Study, runs: Sequence[Run]) -> pl.DataFrame:
    """Returns the table of a study's runs."""
    tasks = {task.name: (task.of or task.name, task.size or None) for task in described.tasks}
    rows = [_row(run, *tasks.get(run.task, (run.task, None))) for run in runs]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    named = [{name: row.get(name) for name in columns} for row in rows]
    return pl.DataFrame(named, schema_overrides={"size": pl.String}, infer_schema_length=None)


def _row(run: Run, task: str, size: str | None) -> dict[str, Any]:
    result = run.result or {}
    row: dict[str, Any] = {"arm": run.arm, "task": task, "size": size, "seed": run.seed, "status": find_status(run)}
    row |= {"learning_rate": run.rate, "tuning": run.tuning}
    row |= dict(result.get("metrics") or {})
    row |= {name: result.get(name) for name in _SCALARS}
    row |= {f"cost.{name}": value for name, value in (result.get("cost") or {}).items()}
    return {**row, "folder": str(run.folder)}


def find_status(run: Run) -> RunStatus:
    """Returns what became of a run."""
    if run.result is not None:
        return "stale" if run.stale else "done"
    return "failed" if run.failure is not None else "not finished"

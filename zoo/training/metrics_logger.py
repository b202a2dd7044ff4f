"""Logger that writes ``metrics.csv``, one sparse table per run, which survives kills and resumes."""

from __future__ import annotations

import csv
import io
from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers.logger import Logger

from zoo.runs.metrics_file import read_metrics
from zoo.system.files import write_file

_FIRST = ("step", "tokens", "seconds")


class MetricsFile(Logger):
    """Appends a line for each call, flushed at once; new metrics add columns.

    A line survives the end of the process at once, and a power loss once the next checkpoint syncs the file; a run that
    resumes from an earlier checkpoint writes later lines again.

    If the last line has the same step and the same metrics, it is replaced: a run that was interrupted after its last
    evaluation evaluates again.

    Lightning's own CSV logger deletes the lines of an earlier process of the same run.

    Args:
        folder: folder of the run.
        resumed: step that the run resumes from; later lines are dropped, because they will be written again.
    """

    def __init__(self, folder: Path, resumed: int) -> None:
        super().__init__()
        self._path = folder / "metrics.csv"
        self._lines = [line for line in read_metrics(self._path) if float(line["step"]) <= resumed]
        self._columns = list(dict.fromkeys([*_FIRST, *(key for line in self._lines for key in line)]))
        self._started = False

    @property
    def name(self) -> str:
        """Name of this logger."""
        return "metrics"

    @property
    def version(self) -> str:
        """Version, of which a run has only one."""
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Appends a line of metrics."""
        line = {key: value for key, value in metrics.items() if key != "epoch"}
        line["step"] = line.get("step", float(step or 0))
        text = {key: f"{value:.10g}" for key, value in line.items()}
        if again := bool(self._lines) and _is_same_step(self._lines[-1], text):
            self._lines.pop()
        self._lines.append(text)
        new = [key for key in text if key not in self._columns]
        self._columns += new
        if new or again or not self._started:
            self._write_table()
        else:
            with self._path.open("a", newline="", encoding="utf8") as file:
                csv.DictWriter(file, self._columns).writerow(text)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the config is in ``config.yaml``."""

    def _write_table(self) -> None:
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, self._columns)
        writer.writeheader()
        writer.writerows(self._lines)
        write_file(self._path, table.getvalue())
        self._started = True


def _is_same_step(one: dict[str, str], other: dict[str, str]) -> bool:
    return float(one["step"]) == float(other["step"]) and one.keys() == other.keys()

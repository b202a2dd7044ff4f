"""metrics.csv: one sparse table a run, which survives kills and resumes."""

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
    """Appends a line each time something is logged, flushed at once; new metrics widen the table.

    A line survives the end of the process at once, and a power loss from the next checkpoint on, which syncs the file:
    a run that goes on from there needs no later ones.

    The same metrics of the same step take the place of a last line that has them already: of a run that was
    interrupted after its last evaluation, which is then made again.

    Lightning's own CSV logger deletes what an earlier process of the same run has written.

    Args:
        folder: the run's folder.
        resumed: the step that the run goes on from; later lines of an earlier process are dropped, because they are
            made again.
    """

    def __init__(self, folder: Path, resumed: int) -> None:
        super().__init__()
        self._path = folder / "metrics.csv"
        self._lines = [line for line in read_metrics(self._path) if float(line["step"]) <= resumed]
        self._columns = list(dict.fromkeys([*_FIRST, *(key for line in self._lines for key in line)]))
        self._started = False

    @property
    def name(self) -> str:
        """Of this logger."""
        return "metrics"

    @property
    def version(self) -> str:
        """There is one."""
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append a line."""
        line = {key: value for key, value in metrics.items() if key != "epoch"}
        line["step"] = line.get("step", float(step or 0))
        text = {key: f"{value:.10g}" for key, value in line.items()}
        if again := bool(self._lines) and _alike(self._lines[-1], text):
            self._lines.pop()
        self._lines.append(text)
        new = [key for key in text if key not in self._columns]
        self._columns += new
        if new or again or not self._started:
            self._rewrite()
        else:
            with self._path.open("a", newline="", encoding="utf8") as file:
                csv.DictWriter(file, self._columns).writerow(text)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The run's config.yaml says them."""

    def _rewrite(self) -> None:
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, self._columns)
        writer.writeheader()
        writer.writerows(self._lines)
        write_file(self._path, table.getvalue())
        self._started = True


def _alike(one: dict[str, str], other: dict[str, str]) -> bool:
    return float(one["step"]) == float(other["step"]) and one.keys() == other.keys()

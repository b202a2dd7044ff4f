"""The result of a finished run, typed: ``result.json``."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from zoo.checks import Refused
from zoo.runs.json_records import format_record, parse_record
from zoo.runs.run_config import RunConfig
from zoo.runs.run_start import RunStart
from zoo.runs.state_files import read_record
from zoo.system.html_tables import format_html_table


@dataclass(frozen=True)
class TextScore:
    """A score of a corpus.

    Attributes:
        name: name of the metric; scores of different metrics are not comparable.
        value: score from 0 to 1; 1 if all texts equal their targets.
        signature: signature of sacreBLEU, with all settings and the version.
        texts: number of texts.
    """

    name: str
    value: float
    signature: str
    texts: int


@dataclass(frozen=True)
class GeneratedText:
    """A text that a model wrote for a validation source.

    Attributes:
        source: the source.
        target: the text that was expected.
        prediction: the text that the model wrote.
    """

    source: str
    target: str
    prediction: str


@dataclass(frozen=True, kw_only=True, repr=False)
class RunResult(RunStart):
    """The result of a finished run; further attributes are those of its start, :class:`RunStart`.

    Attributes:
        folder: folder of the run, as an absolute path.
        metrics: on the validation split, by name; None where a value was not finite.
        diverged: True if the loss was not finite.
        by_length: metrics by length of the target, where the data have lengths.
        cost: parameters, FLOPs, bytes of cache and memory, by name; None where there is no such cost.
        steps: optimizer steps.
        tokens: tokens that were trained on.
        seconds: of training, without validation.
        energy_joules: of the GPUs, where they count it.
        samples: texts that the model wrote for validation sources.
        text_metric: score of the texts that the model wrote.
        text_lost: share of the text that the tokenizer does not give back, by split.
        withheld: metrics that the objective has and this run has not, with the reason.
        files: SHA-256 of the files in the folder.
        finished: when the training finished; None in results of earlier versions.
    """

    folder: Path
    metrics: Mapping[str, float | None]
    diverged: bool = False
    by_length: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    cost: Mapping[str, float | None] = field(default_factory=dict)
    steps: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    energy_joules: float | None = None
    samples: Sequence[GeneratedText] = ()
    text_metric: TextScore | None = None
    text_lost: Mapping[str, float] = field(default_factory=dict)
    withheld: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    finished: datetime | None = None

    @functools.cached_property
    def config(self) -> RunConfig:
        """The config of the run, read from ``config.yaml``.

        Raises:
            Damaged: if the file is not a config of this version; names the file.
        """
        return RunConfig.read(self.folder / "config.yaml")

    def get_metric(self, name: str) -> float | None:
        """Returns a metric; NaN if it was not finite or the run diverged, None if there is no such metric."""
        if name not in self.metrics:
            return None
        value = self.metrics[name]
        return math.nan if self.diverged or value is None else value

    @classmethod
    def from_json(cls, folder: Path, record: Mapping[str, Any]) -> Self:
        """Returns the result that a record of ``result.json`` holds.

        Raises:
            ValueError: if a value does not have the type of its attribute; names key and value.
        """
        return parse_record(record, cls, folder=folder.resolve())

    def as_json(self) -> dict[str, Any]:
        """Returns the record of ``result.json``."""
        record = format_record(self, "folder")
        return {"metrics": record["metrics"], **record}  # first, for those who open the file

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """Reads the result of a run's folder.

        Raises:
            Refused: if it is no run folder, or the run has no result.
            Damaged: if the file does not hold what it should.
        """
        path = Path(folder)
        if (result := cls.find(path)) is None:
            raise Refused(f"folder must be that of a finished run: there is no result.json in {path}")
        return result

    @classmethod
    def find(cls, folder: Path) -> Self | None:
        """Finds the result in a run's folder; None if there is none.

        Raises:
            Damaged: if the file does not hold what it should.
        """
        return read_record(folder / "result.json", cls, folder=folder.resolve())

    def format_metrics(self) -> str:
        """Formats all metrics in one line, with the reason for each that is withheld."""
        parts = [f"{name} {'nan' if value is None else format(value, '.5g')}" for name, value in self.metrics.items()]
        return "  ".join([*parts, *(f"{name} withheld ({why})" for name, why in self.withheld.items())])

    def __repr__(self) -> str:
        metrics = ", ".join(f"{name}={_format(value)}" for name, value in self.metrics.items())
        return f"RunResult({metrics}, folder={str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """Returns a table of metrics and costs for notebooks."""
        rows = {name: (_format(value),) for name, value in {**self.metrics, **self.cost}.items()}
        return format_html_table(rows, str(self.folder))


def _format(value: float | None) -> str:
    return "nan" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.5g}"

"""The result of a finished run, typed: ``result.json`` and the config beside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from zoo.checks import Refused
from zoo.runs.run_folder import RunFolder
from zoo.runs.state_files import read_config
from zoo.system.html_tables import format_html_table

_PLACE = ("folder", "config", "further")  # fields that are no keys of result.json
_TIMES = ("started", "finished")


@dataclass(frozen=True, repr=False)
class RunResult:
    """The result of a finished run.

    Attributes:
        folder: of the run, as an absolute path.
        config: the run's config in full, as in ``config.yaml``.
        metrics: on the validation split, by name; None where a value was not finite.
        cost: parameters, FLOPs, bytes of cache and memory, by name; None where there is no such cost.
        diverged: True if the loss was not finite.
        by_length: metrics by length of the target, where the data have lengths.
        steps: optimizer steps.
        tokens: tokens that were trained on.
        seconds: of training, without validation.
        energy_joules: of the GPUs, where they count it.
        started: when the training started.
        finished: when it finished; None in results of earlier versions.
        samples: sources, targets, and what the model wrote.
        text_metric: name, value, and signature of the score of texts.
        text_lost: share of the text that the tokenizer does not give back, by split.
        withheld: metrics that the objective has and this run has not, with the reason.
        checkpoint: the checkpoint that the weights started from.
        fingerprints: SHA-256 of code, components, and data.
        versions: of zoo, Python, and what computes.
        packages: of plug-ins and targets.
        hardware: of the machine.
        git: the revision of the checkout.
        files: SHA-256 of the files in the folder.
        further: keys of ``result.json`` that this version does not know.
    """

    folder: Path
    config: Mapping[str, Any]
    metrics: Mapping[str, float | None]
    cost: Mapping[str, float | None] = field(default_factory=dict)
    diverged: bool = False
    by_length: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    steps: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    energy_joules: float | None = None
    started: datetime | None = None
    finished: datetime | None = None
    samples: Sequence[Mapping[str, str]] = ()
    text_metric: Mapping[str, Any] | None = None
    text_lost: Mapping[str, float] = field(default_factory=dict)
    withheld: Mapping[str, str] = field(default_factory=dict)
    checkpoint: Mapping[str, Any] | None = None
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    git: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    further: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, folder: Path, config: Mapping[str, Any], record: Mapping[str, Any]) -> RunResult:
        """Returns the result that a record of ``result.json`` holds."""
        known = {name: value for name, value in record.items() if name in _KEYS}
        times = {name: datetime.fromisoformat(known[name]) for name in _TIMES if known.get(name) is not None}
        further = {name: value for name, value in record.items() if name not in _KEYS}
        return cls(folder.resolve(), config, **{**known, **times}, further=further)

    def as_json(self) -> dict[str, Any]:
        """Returns the record of ``result.json``; a key whose value is its default may be absent from the file."""
        values = {name: getattr(self, name) for name in _KEYS}
        times = {name: values[name].isoformat(timespec="seconds") for name in _TIMES if values[name] is not None}
        return {**values, **times, **self.further}

    @classmethod
    def read(cls, folder: str | Path) -> RunResult:
        """Reads the result of a run's folder.

        Raises:
            Refused: if it is no run folder, or the run has no result.
            Damaged: if a file does not hold what it should.
        """
        path = Path(folder)
        if (record := RunFolder(path).read("result.json")) is None:
            raise Refused(f"folder must be that of a finished run: there is no result.json in {path}")
        return cls.from_json(path, read_config(path / "config.yaml"), record)

    def __repr__(self) -> str:
        metrics = ", ".join(f"{name}={_format(value)}" for name, value in self.metrics.items())
        return f"RunResult({metrics}, folder={str(self.folder)!r})"

    def _repr_html_(self) -> str:
        """Returns a table of metrics and costs for notebooks."""
        rows = {name: (_format(value),) for name, value in {**self.metrics, **self.cost}.items()}
        return format_html_table(rows, str(self.folder))


_KEYS = tuple(each.name for each in dataclasses.fields(RunResult) if each.name not in _PLACE)


def _format(value: float | None) -> str:
    return "nan" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.5g}"

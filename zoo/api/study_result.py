"""Studies and reports from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from zoo.api.results_frame import RunStatus, build_frame, find_status
from zoo.api.train_run import run_command
from zoo.checks import Refused, require
from zoo.config.hydra_overrides import drop_hydra_overrides
from zoo.report import Run, Study, build_tables, print_summary, write_report
from zoo.report.claims.answer import format_answer
from zoo.runs.run_result import RunResult
from zoo.study.gather_runs import gather_runs
from zoo.system.html_tables import format_html_text
from zoo.system.names import require_path
from zoo.system.tables import capture_text


@dataclass(frozen=True)
class Report:
    """A report that was written.

    Attributes:
        page: absolute path of ``report.html``, with ``report.md``, ``report.json``, and tables beside it.
        text: its summary.
    """

    page: Path
    text: str = field(repr=False)

    @property
    def folder(self) -> Path:
        """The folder that all files of the report are in."""
        return self.page.parent

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """Returns the summary for notebooks."""
        return format_html_text(f"{self.text}\n\n{self.page}")


@dataclass(frozen=True)
class StudyRun:
    """A run of a study.

    Attributes:
        arm: what is compared.
        task: what the arm was trained on; of a study of several sizes, with the size.
        seed: of weights, data order, and dropout.
        status: done, stale (the result is of other code or data), failed, or not finished.
        folder: of the run, as an absolute path.
        result: None without one.
        error: that a failed run ended with.
    """

    arm: str
    task: str
    seed: int
    status: RunStatus
    folder: Path
    result: RunResult | None = field(repr=False)
    error: str | None = None


@dataclass(frozen=True, repr=False)
class StudyResult:
    """The outcome of a study.

    Attributes:
        name: of the study.
        question: that it asks.
        baseline: the arm that others are compared with.
        runs: in the order of the study.
        answers: what the report concludes, by task.
        results: one row a run, see :func:`zoo.results`.
        report: its summary and files.
    """

    name: str
    question: str
    baseline: str | None
    runs: tuple[StudyRun, ...]
    answers: Mapping[str, str]
    results: pl.DataFrame
    report: Report

    @property
    def is_complete(self) -> bool:
        """True if every run has a result of today's code and data."""
        return all(run.status == "done" for run in self.runs)

    def __repr__(self) -> str:
        return f"{self.name}: {self.question}\n{self.report.text}"

    def _repr_html_(self) -> str:
        """Returns the summary for notebooks."""
        return format_html_text(f"{self!r}\n\n{self.report.page}")


def study(
    study: str | Path,
    *overrides: str,
    on_failure: Literal["go_on", "stop"] = "go_on",
    retries: int = 0,
    allow_target: Sequence[str] = (),
) -> StudyResult:
    """Runs what is missing of a study and writes its report, as the command ``zoo study`` does, in other processes.

    Args:
        study: its name under ``experiments/``, folder, or file; or the first of ``overrides``.
        overrides: keys of the study (``"seeds=3"``), and overrides of all runs (``"steps=100"``).
        on_failure: of a run: go on with the others, or stop.
        retries: how often a run that failed is tried again.
        allow_target: modules whose classes and functions a study file may name, and so run.
    Returns:
        the result, in which runs that failed have no result of their own.
    Raises:
        Refused: with every problem of the study, one a line, before anything is trained.
    """
    words = [str(study), *overrides]
    require(on_failure in ("go_on", "stop"), f"on_failure must be go_on or stop: got {on_failure}")
    require(retries >= 0, f"retries must not be negative: got {retries}")
    own = drop_hydra_overrides(words)
    gather_runs(own, allow_target)
    flags = [f"--on-failure={on_failure}", f"--retries={retries}", *(f"--allow-target={each}" for each in allow_target)]
    code = run_command("study", *words, *flags)
    if code > 1:
        raise RuntimeError(f"the process of the study ended with exit code {code}")
    described, runs, folder = gather_runs(own, allow_target)
    return _result(described, runs, folder)


def _result(described: Study, runs: Sequence[Run], folder: Path) -> StudyResult:
    return StudyResult(
        name=described.name,
        question=described.question,
        baseline=described.baseline,
        runs=tuple(map(_run, runs)),
        answers={table.task.name: format_answer(table) for table in build_tables(described, runs)},
        results=build_frame(described, runs),
        report=_write(described, runs, folder, renumber=True),
    )


def _run(run: Run) -> StudyRun:
    error = None if run.failure is None else run.failure.error
    return StudyRun(run.arm, run.task, run.seed, find_status(run), run.folder.resolve(), run.result, error)


def report(*names: str | Path, out: str | Path | None = None) -> Report:
    """Writes the report of what is there, as the command ``zoo report`` does; nothing is trained.

    Args:
        names: a study with its keys and overrides, several studies, or run folders with ``"baseline=ARM"``,
            ``"metrics=…"``, ``"margin=…"``.
        out: the folder to write to, in place of one under ``runs/reports/``.
    Raises:
        Refused: with every problem of what is named, one a line.
    """
    if not names:
        raise Refused("report must be given a study or run folders: got none")
    described, runs, folder = gather_runs(drop_hydra_overrides([str(name) for name in names]))
    if out is not None:
        require_path("out", str(out))
    return _write(described, runs, folder if out is None else Path(out), renumber=out is None)


def _write(described: Study, runs: Sequence[Run], folder: Path, *, renumber: bool) -> Report:
    text = capture_text(lambda terminal: print_summary(described, runs, terminal)).strip("\n")
    return Report(write_report(described, runs, folder, renumber=renumber).resolve(), text)

"""Snapshots of the cells of a study as its plan was last expanded, in files beside the reports.

Expanding a plan loads torch and Hydra and composes the config of every arm. The status of a study needs none of this
as long as nothing has changed that the plan depends on: the snapshot lists the runs, and their folders hold the rest. A
snapshot contains everything that it depends on, and is ignored if any of it has changed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import limits
from zoo.checks import Refused
from zoo.registry import ENTRY_POINTS
from zoo.runs.run_config import RunConfig
from zoo.runs.run_folder import RunFolder
from zoo.study.cells.file_stamps import stamp_files, stamp_run
from zoo.study.cells.overview import Overview
from zoo.study.cells.study_request import StudyRequest
from zoo.system.files import write_file
from zoo.system.input_files import read_json
from zoo.system.installation import compute_installation_digest
from zoo.training.source_packages import trace

if TYPE_CHECKING:
    from zoo.study.cells.outcomes import Outcome, ReadOutcome
    from zoo.study.plan.cell import Cell

_SECTIONS_WITHOUT_FILES = ("runs", "cache", "logger", "label")
"""Sections of a config that name no file that a run reads."""
_TIME_RESOLUTION_NS = 2_000_000_000
"""Difference of modification times that every file system resolves, in nanoseconds."""


@dataclass(frozen=True)
class RecordedCell:
    """A cell without its config; see :class:`zoo.study.plan.cell.CellView`."""

    arm: str
    task: str
    seed: int
    rate: float | None
    tuning: bool
    hash: str
    steps: int
    fingerprints: Mapping[str, str]
    runs: Path

    @property
    def folder(self) -> RunFolder:
        """Folder of the run."""
        return RunFolder(self.runs / self.hash)

    def compare(self) -> str:
        """Returns the state of the run; see :meth:`zoo.runs.run_folder.RunFolder.compare`."""
        return self.folder.compare(lambda: self.fingerprints)


def load_snapshot(request: StudyRequest) -> Overview | None:
    """Loads the cells of a study as they were last expanded; returns None if anything has changed since."""
    try:
        found = read_json(request.path)
        if found["key"] != request.key or found["packages"] != _find_packages(found["modules"]):
            return None
        if any(stamp_files(Path(name)) != stamp for name, stamp in found["files"].items()):
            return None
        if any(stamp_run(Path(name)) != stamp for name, stamp in found["looks"].items()):
            return None
        known = found["fingerprints"]
        cells = [RecordedCell(*[*facts, known[number], request.runs]) for *facts, number in found["cells"]]
        not_applicable = [(arm, task, why) for arm, task, why in found["not_applicable"]]
        return Overview(found["name"], found["question"], cells, found["more"], not_applicable)
    except (Refused, OSError, LookupError, TypeError, ValueError):  # no snapshot, or one of another version
        return None


class Recorder:
    """Records what the cells of a study depend on while they are determined, for :func:`load_snapshot`.

    Create it before the plan is loaded: files that change afterwards are not recorded.
    """

    def __init__(self) -> None:
        self._started = time.time_ns() - _TIME_RESOLUTION_NS
        self._looks: dict[str, Any] = {}
        compute_installation_digest()  # caches the current one

    def note(self, read_outcome: ReadOutcome) -> ReadOutcome:
        """Returns a function that notes the files of a run, and then reads its outcome."""

        def note_and_read(cell: Cell) -> Outcome:
            path = cell.folder.path
            self._looks.setdefault(str(path), stamp_run(path))
            return read_outcome(cell)

        return note_and_read

    def save(self, words: Sequence[str] | None, overview: Overview, cells: Sequence[Cell]) -> None:
        """Writes the snapshot of a study, if the folder of reports exists and is writable.

        Args:
            words: Arguments of ``zoo study`` that choose the runs; None writes nothing.
            overview: Overview to save.
            cells: Cells of the overview with their configs.
        """
        request = None if words is None else StudyRequest.read(words)
        if request is None or not cells or not (request.runs / "reports").is_dir():
            return
        configs = [cell.checked.config for cell in cells]
        modules = sorted({target.rpartition(".")[0] for config in configs for target in _list_targets(config)})
        texts = sorted({text for config in configs for text in _list_texts(config)})
        files = {text: stamp_files(Path(text)) for text in texts}
        stamps = [file for stamp in (request.stamp, *files.values()) for file in stamp or ()]
        if any(Path(each.runs) != request.runs for each in configs):
            return
        if any(modified > self._started for _, modified, _ in stamps):
            return
        try:
            content = {
                "key": request.key,
                "modules": modules,
                "packages": _find_packages(modules),
                "files": files,
                "looks": self._looks,
                "name": overview.name,
                "question": overview.question,
                "not_applicable": overview.not_applicable,
                "more": overview.more,
                **_encode_cells(cells),
            }
            write_file(request.path, json.dumps(content))
        except (Refused, OSError):  # snapshots are optional: none in a read-only folder
            return


def _encode_cells(cells: Sequence[Cell]) -> dict[str, Any]:
    """Returns the cells as :func:`load_snapshot` reads them, each with the index of its fingerprints in a list."""
    from zoo.training.run import compute_fingerprints

    known: list[Mapping[str, str]] = []
    rows = []
    for cell in cells:
        fingerprints = compute_fingerprints(cell.checked.config)
        if fingerprints not in known:
            known.append(fingerprints)
        facts = [cell.arm, cell.task, cell.seed, cell.rate, cell.tuning, cell.hash, cell.steps]
        rows.append([*facts, known.index(fingerprints)])
    return {"fingerprints": known, "cells": rows}


def _find_packages(modules: Sequence[str]) -> list[list[str | None]]:
    """Returns name, version, and source of the packages that plug-ins and targets belong to."""
    plugins = {point.module for point in entry_points(group=ENTRY_POINTS)}
    named = {module for module in modules if module.split(".")[0] not in ("zoo", "torch", "lightning")}
    return [list(astuple(package)) for package in trace(tuple(sorted(plugins | named))).packages]


def _list_texts(config: RunConfig) -> Iterator[str]:
    """Yields all texts in a config that may name files."""
    stack: list[Any] = [
        {key: value for key, value in config.as_mapping().items() if key not in _SECTIONS_WITHOUT_FILES}
    ]
    while stack:
        value = stack.pop()
        if isinstance(value, Mapping):
            stack += value.values()
        elif isinstance(value, list | tuple):
            stack += value
        elif isinstance(value, str) and 0 < len(value) < limits.PATH_BYTES and "\0" not in value:
            yield value


def _list_targets(config: RunConfig) -> list[str]:
    sections = (config.optimizer, config.schedule, config.trainer, *config.logger.values(), *config.callbacks.values())
    return [target.path for target in sections]

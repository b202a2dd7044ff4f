"""The cells of a study as its plan was last expanded, in a file beside the reports.

Expanding a plan loads torch and Hydra and composes every arm. To see where a study stands, none of that is needed as
long as nothing has changed that the plan depends on: the file names the runs, and their folders tell the rest. It holds
everything that it depends on, and is not used where any of it differs.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from zoo import limits
from zoo.checks import Refused
from zoo.registry import ENTRY_POINTS
from zoo.runs.run_folder import RunFolder
from zoo.runs.state_files import RECORDS
from zoo.study.cells.overview import Overview
from zoo.study.plan.find_study import find_study
from zoo.system.files import write_file
from zoo.system.input_files import read_bytes, read_json
from zoo.system.installation import compute_installation_digest
from zoo.system.processes import identify_machine
from zoo.training.source_packages import trace

if TYPE_CHECKING:
    from zoo.study.cells.rounds import Look, Outcome
    from zoo.study.plan.setting import Cell

_FIXED = re.compile(r"\$\{(?:[\w.]+|oc\.env:(\w+)(?:,[^${}]*)?)\}")
"""Interpolations whose value is in the key: other keys of the config, and variables of the environment."""
_ELSEWHERE = ("runs", "cache", "logger", "label")
"""Sections whose texts name no file that a run reads."""
_COARSEST = 2_000_000_000
"""Nanoseconds between two times that every file system tells apart."""


@dataclass(frozen=True)
class RecordedCell:
    """A cell without its config; see :class:`zoo.study.plan.setting.CellView`."""

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
        """Where the run lies."""
        return RunFolder(self.runs / self.hash)

    def compare(self) -> str:
        """Returns what became of the run; see :meth:`zoo.runs.run_folder.RunFolder.compare`."""
        return self.folder.compare(lambda: self.fingerprints)


@dataclass(frozen=True)
class Request:
    """What a command line asks for, and all that its meaning depends on before a config is composed.

    Attributes:
        words: arguments of ``zoo study`` that choose the runs.
        key: what the meaning of these words depends on.
        stamp: of the study's file, if it has one.
        runs: the folder of all runs, as far as it can be known without composing.
    """

    words: tuple[str, ...]
    key: Mapping[str, Any]
    stamp: list[Any] | None
    runs: Path

    @classmethod
    def read(cls, words: Sequence[str]) -> Request | None:
        """Returns the request as things are now; None if its meaning depends on what is not known here."""
        try:
            names = [word for word in words if "=" not in word and word[:1] not in "~-"]
            file = find_study(names[0]) if names else None
            stamp, text = (_stamp(file), read_bytes(file, limits.YAML_BYTES)) if file else (None, b"")
            given = text.decode()
        except (Refused, OSError, UnicodeDecodeError):  # which is said when the study is read
            return None
        said = "\n".join([given, *words])
        if "${" in _FIXED.sub("", said):
            return None
        variables = {*_FIXED.findall(said), *(name for name in os.environ if name.startswith("ZOO_"))} - {""}
        key = {
            "words": list(words),
            "file": hashlib.sha256(text).hexdigest(),
            "folder": os.getcwd(),
            "installation": compute_installation_digest(),
            "machine": [identify_machine(), *sorted(glob.glob("/dev/nvidia*"))],
            "environment": {name: os.environ.get(name) for name in sorted({*variables, "CUDA_VISIBLE_DEVICES"})},
        }
        return cls(tuple(words), key, stamp, _find_runs(words, given))

    @property
    def path(self) -> Path:
        """Where the cells of this request are kept."""
        digest = hashlib.sha256(repr((self.words, self.key["folder"])).encode()).hexdigest()
        return self.runs / "reports" / ".cells" / f"{digest[:16]}.json"


def recall(request: Request) -> Overview | None:
    """Returns the runs of a study as they were when its plan was last expanded; None if anything has changed since."""
    try:
        found = read_json(request.path)
        if found["key"] != request.key or found["packages"] != _find_packages(found["modules"]):
            return None
        if any(_stamp(Path(name)) != stamp for name, stamp in found["files"].items()):
            return None
        if any(_stamp_run(Path(name)) != stamp for name, stamp in found["looks"].items()):
            return None
        known = found["fingerprints"]
        cells = [RecordedCell(*[*facts, known[number], request.runs]) for *facts, number in found["cells"]]
        unfit = [(arm, task, why) for arm, task, why in found["not_applicable"]]
        return Overview(found["name"], found["question"], cells, found["more"], unfit)
    except (Refused, OSError, LookupError, TypeError, ValueError):  # no file, or not one of today's
        return None


class Recorder:
    """Notes what the runs of a study depend on while they are found out, and keeps them for :func:`recall`.

    It is made before the plan is read: what has changed since is not kept.
    """

    def __init__(self) -> None:
        self._began = time.time_ns() - _COARSEST
        self._looks: dict[str, Any] = {}
        compute_installation_digest()  # as it is now

    def note(self, look: Look) -> Look:
        """Returns a function that looks at runs as ``look`` does, and notes their files before."""

        def look_and_note(cell: Cell) -> Outcome:
            path = cell.folder.path
            self._looks.setdefault(str(path), _stamp_run(path))
            return look(cell)

        return look_and_note

    def keep(self, words: Sequence[str] | None, overview: Overview, cells: Sequence[Cell]) -> None:
        """Writes the runs of a study, where the folder of reports is there and can be written to.

        Args:
            words: arguments of ``zoo study`` that ask for them, if it was they that did.
            overview: what to keep.
            cells: the runs with their configs.
        """
        request = None if words is None else Request.read(words)
        if request is None or not cells or not (request.runs / "reports").is_dir():
            return
        configs = [cell.checked.config for cell in cells]
        modules = sorted({target.rpartition(".")[0] for config in configs for target in _find_targets(config)})
        files = {text: _stamp(Path(text)) for text in sorted({text for each in configs for text in _find_texts(each)})}
        stamps = [file for stamp in (request.stamp, *files.values()) for file in stamp or ()]
        if any(Path(each["runs"]) != request.runs for each in configs) or any(file[1] > self._began for file in stamps):
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
                **_record(cells),
            }
            write_file(request.path, json.dumps(content))
        except (Refused, OSError):  # it is a shortcut, which a read-only folder does without
            return


def _record(cells: Sequence[Cell]) -> dict[str, Any]:
    """Returns the cells as :func:`recall` reads them, each with the place of its fingerprints in a list."""
    from zoo.training.run import compute_fingerprints

    known: list[Mapping[str, str]] = []
    rows = []
    for cell in cells:
        own = compute_fingerprints(cell.checked.config)
        if own not in known:
            known.append(own)
        rows.append([cell.arm, cell.task, cell.seed, cell.rate, cell.tuning, cell.hash, cell.steps, known.index(own)])
    return {"fingerprints": known, "cells": rows}


def _find_runs(words: Sequence[str], text: str) -> Path:
    """Returns the folder of runs that the command line names, or the study file for all arms, or the default."""
    for word in reversed(words):
        if word.startswith("runs="):
            return Path(word.removeprefix("runs="))
    try:
        loaded = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return Path(str(loaded["overrides"].get("runs", "runs")))
    except (yaml.YAMLError, LookupError, TypeError, AttributeError, ValueError):
        return Path("runs")


def _find_packages(modules: Sequence[str]) -> list[list[str | None]]:
    """Returns name, version and source of the packages that plug-ins and targets belong to."""
    plugins = {point.module for point in entry_points(group=ENTRY_POINTS)}
    named = {module for module in modules if module.split(".")[0] not in ("zoo", "torch", "lightning")}
    return [list(astuple(package)) for package in trace(tuple(sorted(plugins | named))).packages]


def _find_texts(config: Mapping[str, Any]) -> Iterator[str]:
    """Yields all texts in a config that may name files."""
    ahead: list[Any] = [{key: value for key, value in config.items() if key not in _ELSEWHERE}]
    while ahead:
        value = ahead.pop()
        if isinstance(value, Mapping):
            ahead += value.values()
        elif isinstance(value, list | tuple):
            ahead += value
        elif isinstance(value, str) and 0 < len(value) < limits.PATH_BYTES and "\0" not in value:
            yield value


def _find_targets(config: Mapping[str, Any]) -> Iterator[str]:
    from zoo.config.targets import find_targets

    return (str(target) for _, target in find_targets(config))


def _stamp(path: Path) -> list[Any] | None:
    """Returns name, time and size of a file, or of all that is in a folder; None if there is none."""
    try:
        inside = sorted(os.scandir(path), key=lambda item: item.name) if path.is_dir() else ()
        return [[os.fspath(each), (status := os.stat(each)).st_mtime_ns, status.st_size] for each in (path, *inside)]
    except (OSError, ValueError):
        return None


def _stamp_run(path: Path) -> list[Any]:
    return [_stamp(path / name) for name in RECORDS]

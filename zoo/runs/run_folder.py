"""The folder of a run: its files are the only record of the state of the run."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from zoo.runs.json_records import format_record
from zoo.runs.metrics_file import read_metrics
from zoo.runs.run_config import RunConfig
from zoo.runs.run_result import RunResult
from zoo.runs.run_start import RunFailure, RunStart
from zoo.runs.state_files import read_record
from zoo.system.files import (
    Damaged,
    clear_drafts,
    compute_digest,
    remove,
    require_digest,
    sync_file,
    sync_folder,
    sync_tree,
    write_file,
)

State = Literal["new", "started", "failed", "done"]
_CHECKPOINT = re.compile(r"step-(\d+)-([0-9a-f]{64})\.ckpt")
_FILES = ("config.yaml", "model.safetensors", "tokenizer.json")
_KEPT = 2  # checkpoints: if the newest is damaged, training resumes from the one before it


@dataclass(frozen=True)
class RunFolder:
    """The files of a run, each written atomically.

    ``config.yaml`` and ``started.json`` are written before the first step, ``metrics.csv`` and ``checkpoints/`` during
    training, and ``result.json`` or ``failed.json`` at the end. ``claim/`` exists while a process trains the run.

    Args:
        path: the folder.
    """

    path: Path

    @property
    def state(self) -> State:
        """The state of the run, derived from the files that exist."""
        if (self.path / "result.json").exists():
            return "done"
        if (self.path / "failed.json").exists():
            return "failed"
        return "started" if (self.path / "started.json").exists() else "new"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    def list_checkpoints(self) -> list[Path]:
        """Lists the checkpoints, newest first, each a file or a folder whose name has its step and its SHA-256."""

        def step(path: Path) -> float:
            found = _CHECKPOINT.fullmatch(path.name)
            return int(found[1]) if found else math.inf

        return sorted(self.checkpoints.glob("*.ckpt"), key=step, reverse=True)

    def add_checkpoint(self, draft: Path, step: int) -> None:
        """Publishes a checkpoint, once it and the metrics logged before it are on disk.

        The previous checkpoint is kept; older ones are removed.

        Args:
            draft: file or folder that was written; it is renamed.
            step: number of optimizer steps taken.
        """
        self.sync_metrics()
        sync_tree(draft)
        os.replace(draft, self.checkpoints / f"step-{step}-{compute_digest(draft)}.ckpt")
        sync_folder(self.checkpoints)
        for old in self.list_checkpoints()[_KEPT:]:
            remove(old)

    def require_checkpoint(self, path: Path) -> None:
        """Requires that a checkpoint matches the digest in its name.

        Raises:
            Damaged: if it does not.
        """
        found = _CHECKPOINT.fullmatch(path.name)
        if found is None:
            raise Damaged(f"{path} must be named step-STEP-SHA256.ckpt")
        require_digest(path, found[2])

    def require_files(self, digests: Mapping[str, str]) -> None:
        """Requires that files match their digests; files that were removed are not checked.

        Args:
            digests: SHA-256 by file name.
        Raises:
            Damaged: if a file differs.
        """
        for name, digest in digests.items():
            if (self.path / name).exists():
                require_digest(self.path / name, digest)

    def read_start(self) -> RunStart | None:
        """Reads ``started.json``; None if it is missing.

        Raises:
            Damaged: if the content is invalid; the message names file, key and value.
        """
        return read_record(self.path / "started.json", RunStart)

    def read_result(self) -> RunResult | None:
        """Reads ``result.json``; None if it is missing.

        Raises:
            Damaged: if the content is invalid; the message names file, key and value.
        """
        return RunResult.find(self.path)

    def read_failure(self) -> RunFailure | None:
        """Reads ``failed.json``; None if it is missing.

        Raises:
            Damaged: if the content is invalid; the message names file, key and value.
        """
        return read_record(self.path / "failed.json", RunFailure)

    def compare(self, fingerprints: Callable[[], Mapping[str, str]]) -> str:
        """Returns what became of the run: its state; ``damaged``; or ``stale`` if its result has other fingerprints.

        Args:
            fingerprints: gives those that a result must have today; called only if there is a result.
        """
        try:
            result = self.read_result()
        except Damaged:
            return "damaged"
        if result is None:
            return self.state if self.find_damage() is None else "damaged"
        return "done" if result.find_change(fingerprints()) is None else "stale"

    def find_damage(self) -> Damaged | None:
        """Finds the first invalid JSON file of the folder; None if all are valid. The message names the file."""
        try:
            self._read_all()
        except Damaged as error:
            return error
        return None

    def _read_all(self) -> None:
        for read in (self.read_start, self.read_result, self.read_failure):
            read()

    def require_readable(self) -> None:
        """Requires that a run can resume from its folder, or that the files of its result match their digests.

        Raises:
            Damaged: otherwise; the message names the file.
        """
        result = self.read_result()
        self.require_files({} if result is None else result.files)
        self._read_all()
        read_metrics(self.path / "metrics.csv")
        for name in _FILES:
            if (self.path / name).is_dir():
                raise Damaged(f"{self.path / name}: must be a file: got a folder")
        if self.checkpoints.exists() and not self.checkpoints.is_dir():
            raise Damaged(f"{self.checkpoints}: must be a folder: got a file")

    def record_start(self, config: RunConfig, start: RunStart) -> None:
        """Writes ``config.yaml`` and ``started.json``, and removes the record of an earlier failure.

        Args:
            config: the config; its label, which differs between studies that share the run, is left out.
            start: provenance of the run.
        """
        clear_drafts(self.path)
        values = {key: value for key, value in config.as_mapping().items() if key != "label"}
        write_file(self.path / "config.yaml", yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
        write_file(self.path / "started.json", json.dumps(format_record(start), indent=1))
        (self.path / "failed.json").unlink(missing_ok=True)

    def record_result(self, result: RunResult) -> None:
        """Writes ``result.json``, the last file of a run."""
        self.sync_metrics()
        write_file(self.path / "result.json", json.dumps(result.as_json(), indent=1, ensure_ascii=False))

    def clear(self) -> None:
        """Removes the checkpoints, which are not needed once there is a result, and drafts left by a kill."""
        clear_drafts(self.path)
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def sync_metrics(self) -> None:
        """Waits until all logged metrics are on disk."""
        if (path := self.path / "metrics.csv").exists():
            sync_file(path)

    def record_failure(self, error: BaseException) -> None:
        """Writes ``failed.json``: the error and its traceback."""
        lines = "".join(traceback.format_exception(error))
        failure = RunFailure(f"{type(error).__name__}: {error}", lines)
        write_file(self.path / "failed.json", json.dumps(format_record(failure), indent=1, ensure_ascii=False))

    def set_aside(self, reason: str) -> Path:
        """Moves a run that was made with other code or data out of the way; deletes nothing and leaves claims in place.

        Args:
            reason: becomes a part of the new name.
        Returns:
            the new folder.
        """
        target = self._create_stale_folder(reason)
        # these show that the run is stale, so they move last: after a kill in between, the next start moves the rest
        last = ("started.json", "result.json")
        for item in sorted(self.path.iterdir(), key=lambda item: item.name in last):
            if not item.name.startswith(("claim", ".claim")):
                item.rename(target / item.name)
        return target

    def set_aside_checkpoint(self, path: Path) -> Path:
        """Moves a checkpoint that cannot be used out of the way; deletes nothing. Returns its new path."""
        return path.rename(self._create_stale_folder("checkpoint") / path.name)

    def _create_stale_folder(self, reason: str) -> Path:
        number = 0
        while (target := self.path.parent / "stale" / f"{self.path.name}-{reason}-{number}").exists():
            number += 1
        target.mkdir(parents=True)
        return target

"""A run's folder: what is in it says what became of the run."""

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
from typing import Any, Literal

import yaml

from zoo.system.files import Damaged, clear_drafts, file_digest, require_digest, sync_file, sync_folder, write_file
from zoo.runs.metrics_file import read_metrics
from zoo.runs.state_files import RECORDS, read_record

State = Literal["new", "started", "failed", "done"]
_CHECKPOINT = re.compile(r"step-(\d+)-([0-9a-f]{64})\.ckpt")
_FILES = ("config.yaml", "model.safetensors", "tokenizer.json")
_KEPT = 2  # checkpoints: where the newest is damaged, the one before it serves


@dataclass(frozen=True)
class RunFolder:
    """The files of a run, each written at once or not at all.

    ``config.yaml`` and ``started.json`` at the beginning, ``metrics.csv`` and ``checkpoints/`` on the way,
    ``result.json`` or ``failed.json`` in the end; while a process trains it, ``claim/``.
    """

    path: Path

    @property
    def state(self) -> State:
        """Derived from the files."""
        if (self.path / "result.json").exists():
            return "done"
        if (self.path / "failed.json").exists():
            return "failed"
        return "started" if (self.path / "started.json").exists() else "new"

    @property
    def checkpoints(self) -> Path:
        """Where training states lie."""
        return self.path / "checkpoints"

    def newest_checkpoints(self) -> list[Path]:
        """Training states to go on from, the newest first; each has its step and its SHA-256 in its name."""

        def step(path: Path) -> float:
            found = _CHECKPOINT.fullmatch(path.name)
            return int(found[1]) if found else math.inf

        return sorted(self.checkpoints.glob("*.ckpt"), key=step, reverse=True)

    def add_checkpoint(self, draft: Path, step: int) -> None:
        """Let a training state count, and all that was logged up to it; the one before it is kept, older ones go."""
        self.sync_metrics()
        sync_file(draft)
        os.replace(draft, self.checkpoints / f"step-{step}-{file_digest(draft)}.ckpt")
        sync_folder(self.checkpoints)
        for old in self.newest_checkpoints()[_KEPT:]:
            old.unlink()

    def require_checkpoint(self, path: Path) -> None:
        """See that a training state is as it was written.

        Raises:
            Damaged: if it is not.
        """
        found = _CHECKPOINT.fullmatch(path.name)
        if found is None:
            raise Damaged(f"{path} must be named step-STEP-SHA256.ckpt")
        require_digest(path, found[2])

    def require_files(self, digests: Mapping[str, str]) -> None:
        """See that files are as they were written, given their SHA-256 by name; one that was removed is not missed.

        Raises:
            Damaged: if one is not.
        """
        for name, digest in digests.items():
            if (self.path / name).exists():
                require_digest(self.path / name, digest)

    def read(self, name: str) -> dict[str, Any] | None:
        """A JSON file of the folder, or None if it is not there.

        Raises:
            Damaged: if it does not hold what it should; names file, key and value.
        """
        return read_record(self.path / name)

    def compare(self, fingerprints: Callable[[], Mapping[str, str]]) -> str:
        """Returns what became of the run: its state; ``damaged``; or ``stale`` if its result has other fingerprints.

        Args:
            fingerprints: gives those that a result must have today; called only if there is a result.
        """
        try:
            before = self.read("result.json")
        except Damaged:
            return "damaged"
        if before is None:
            return self.state if self.find_damage() is None else "damaged"
        return "done" if fingerprints().items() <= before.get("fingerprints", {}).items() else "stale"

    def find_damage(self) -> Damaged | None:
        """What is wrong with the JSON files of the folder, if anything is; the message names the file."""
        try:
            for name in RECORDS:
                self.read(name)
        except Damaged as error:
            return error
        return None

    def require_readable(self) -> None:
        """See that a run can go on from what is in its folder, or has a result whose files are as they were written.

        Raises:
            Damaged: if not; it names the file.
        """
        self.require_files((self.read("result.json") or {}).get("files", {}))
        for name in RECORDS:
            self.read(name)
        read_metrics(self.path / "metrics.csv")
        for name in _FILES:
            if (self.path / name).is_dir():
                raise Damaged(f"{self.path / name}: must be a file: got a folder")
        if self.checkpoints.exists() and not self.checkpoints.is_dir():
            raise Damaged(f"{self.checkpoints}: must be a folder: got a file")

    def begin(self, config: dict[str, Any], facts: dict[str, Any]) -> None:
        """Write what is known before the first step; an earlier failure is forgotten."""
        clear_drafts(self.path)
        write_file(self.path / "config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
        write_file(self.path / "started.json", json.dumps(facts, indent=1))
        (self.path / "failed.json").unlink(missing_ok=True)

    def finish(self, result: dict[str, Any]) -> None:
        """Write the result, last of all."""
        self.sync_metrics()
        write_file(self.path / "result.json", json.dumps(result, indent=1, ensure_ascii=False))

    def clear(self) -> None:
        """Remove the training states, which nothing needs once there is a result, and drafts that a kill left."""
        clear_drafts(self.path)
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def sync_metrics(self) -> None:
        """Wait until all that was logged is on disk."""
        if (path := self.path / "metrics.csv").exists():
            sync_file(path)

    def fail(self, error: BaseException) -> None:
        """Write why it failed."""
        lines = "".join(traceback.format_exception(error))
        text = f"{type(error).__name__}: {error}"
        content = json.dumps({"error": text, "traceback": lines}, indent=1, ensure_ascii=False)
        write_file(self.path / "failed.json", content)

    def set_aside(self, reason: str) -> Path:
        """Move a run of other code or data out of the way; nothing is deleted, and a claim stays.

        What says that the run is of other code or data is moved last, so that a kill in between is made up for.
        """
        target = self._aside(reason)
        last = ("started.json", "result.json")
        for item in sorted(self.path.iterdir(), key=lambda item: item.name in last):
            if not item.name.startswith(("claim", ".claim")):
                item.rename(target / item.name)
        return target

    def set_aside_checkpoint(self, path: Path) -> Path:
        """Move a training state that cannot be used out of the way; nothing is deleted."""
        return path.rename(self._aside("checkpoint") / path.name)

    def _aside(self, reason: str) -> Path:
        """Make a new folder for what is set aside."""
        number = 0
        while (target := self.path.parent / "stale" / f"{self.path.name}-{reason}-{number}").exists():
            number += 1
        target.mkdir(parents=True)
        return target

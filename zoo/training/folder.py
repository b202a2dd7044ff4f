"""A run's folder: what is in it says what became of the run."""

from __future__ import annotations

import json
import os
import shutil
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

State = Literal["new", "started", "failed", "done"]


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
        """Training states to go on from, the newest first."""
        return sorted(self.checkpoints.glob("*.ckpt"), key=lambda path: path.stat().st_mtime_ns, reverse=True)

    def read(self, name: str) -> dict[str, Any] | None:
        """A JSON file of the folder, or None if it is not there."""
        try:
            content: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf8"))
        except FileNotFoundError:
            return None
        return content

    def begin(self, config: dict[str, Any], facts: dict[str, Any]) -> None:
        """Write what is known before the first step; an earlier failure is forgotten."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._write("config.yaml", yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
        self._write("started.json", json.dumps(facts, indent=1))
        (self.path / "failed.json").unlink(missing_ok=True)

    def finish(self, result: dict[str, Any]) -> None:
        """Write the result, last of all."""
        self._write("result.json", json.dumps(result, indent=1, ensure_ascii=False))

    def clear(self) -> None:
        """Remove the training states, which nothing needs once there is a result."""
        shutil.rmtree(self.checkpoints, ignore_errors=True)

    def fail(self, error: BaseException) -> None:
        """Write why it failed."""
        lines = "".join(traceback.format_exception(error))
        text = f"{type(error).__name__}: {error}"
        self._write("failed.json", json.dumps({"error": text, "traceback": lines}, indent=1, ensure_ascii=False))

    def set_aside(self, reason: str) -> Path:
        """Move a run of other code or data out of the way; nothing is deleted, and a claim stays.

        What says that the run is of other code or data is moved last, so that a kill in between is made up for.
        """
        number = 0
        while (target := self.path.parent / "stale" / f"{self.path.name}-{reason}-{number}").exists():
            number += 1
        target.mkdir(parents=True)
        last = ("started.json", "result.json")
        for item in sorted(self.path.iterdir(), key=lambda item: item.name in last):
            if not item.name.startswith(("claim", ".claim")):
                item.rename(target / item.name)
        return target

    def _write(self, name: str, text: str) -> None:
        draft = self.path / f".{name}.draft"
        draft.write_text(text, encoding="utf8")
        os.replace(draft, self.path / name)

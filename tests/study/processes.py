"""Commands of tests that are processes of their own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A command that was begun, and all processes that it began."""

    group: int
    out: Path

    def runs(self) -> bool:
        return Path(f"/proc/{self.group}").exists()

    def wait(self, within: float = 240.0) -> None:
        until = time.monotonic() + within
        while self.runs():
            assert time.monotonic() < until, self.out
            time.sleep(0.02)

    def ended(self) -> str:
        """What it printed; its exit code is the last line."""
        self.wait()
        return self.out.read_text()

    def kill(self) -> None:
        os.killpg(self.group, signal.SIGKILL)
        self.wait()


Begin = Callable[..., Process]

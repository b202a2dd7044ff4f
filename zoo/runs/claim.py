"""Who trains a run: a claim in its folder, so that no two processes train the same one, on one machine or on many."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from zoo.system.files import set_aside
from zoo.system.processes import identify_process, machine, start_mark

_log = logging.getLogger("zoo")
BEAT = 5.0  # seconds between heartbeats
LIMIT = 60.0  # seconds without one, after which a process elsewhere counts as gone
_TRIES = 200


class Lost(RuntimeError):
    """Another process took the run over, because this one was not heard from for long."""


@dataclass(frozen=True)
class Holder:
    """Who has claimed a run."""

    path: Path
    host: str
    process: int
    live: bool

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


class Claim:
    """The right to train a run; renewed by a thread while it is held.

    A claim is the one file in the folder ``claim``: its name says who holds it, its time when that was last heard
    from. All changes are renames, of which one succeeds: a new claim is a whole folder that gets the name ``claim``;
    one that is taken over is the file of the process that is gone, given another name.

    Args:
        folder: of the run; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        host = socket.gethostname().replace("/", "-")
        self.path = folder / "claim" / "~".join((secrets.token_hex(8), identify_process(), host))
        self._heard, self._released = 0.0, threading.Event()

    def take(self) -> Holder | None:
        """Claim the run, or say who has.

        Raises:
            OSError: if the folder cannot be written.
        """
        draft = self.folder / f".claim-{self.path.name[:16]}"
        draft.mkdir(parents=True, exist_ok=True)
        self._set_foreign_aside()
        try:
            for _ in range(_TRIES):
                with contextlib.suppress(OSError):  # another was quicker, or is just leaving, which clears drafts away
                    if (other := self._try(draft)) is not None and other.live:
                        return other
                if self.path.exists():
                    return None
                time.sleep(0.005)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        raise OSError(f"{self.path.parent} cannot be claimed: what is in it cannot be renamed")

    def _try(self, draft: Path) -> Holder | None:
        """Rename the draft, or the claim of a process that is gone, to ours; the claim that was there before."""
        draft.mkdir(exist_ok=True)
        (draft / self.path.name).touch()
        other = holder(self.folder, (draft / self.path.name).stat().st_mtime)  # by the clock that all share
        if other is None:
            draft.rename(self.folder / "claim")
        elif not other.live:
            os.utime(other.path)  # first, so that it is fresh from the moment that it is ours
            other.path.rename(self.path)
        return other

    def _set_foreign_aside(self) -> None:
        """Move what is no claim out of its place: a claim is a folder with a file that names a process."""
        path = self.folder / "claim"
        with contextlib.suppress(OSError):  # there is none, or another process was quicker
            if not _is_foreign(path):
                return
            moved = set_aside(path)
            if _is_foreign(moved):
                _log.warning("%s is no claim of zoo: set aside as %s", path, moved)
            else:  # another process has moved it between the look and the move, and has the claim
                moved.rename(path)

    def left(self) -> bool:
        """Whether there is a claim, or the draft of one: held, or left by a process that was killed."""
        return next(self.folder.glob("claim"), None) is not None or next(self.folder.glob(".claim-*"), None) is not None

    def check(self, *, surely: bool = False) -> None:
        """See that the run is still ours: on disk if that is asked for, or was not seen for long.

        Raises:
            Lost: if it is not.
        """
        if surely or time.time() - self._heard > LIMIT / 2:
            self._renew()
        if self._released.is_set():
            raise Lost(f"{self.folder} was taken over: this process was not heard from for {LIMIT:.0f} s")

    def __enter__(self) -> Claim:
        self._renew()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._released.set()
        with contextlib.suppress(OSError):
            self.path.unlink()
            self.path.parent.rmdir()
        for draft in self.folder.glob(".claim-*"):  # of processes that were killed; one that is alive tries again
            mine = draft.with_name(f".claim-{secrets.token_hex(8)}")
            with contextlib.suppress(OSError):
                draft.rename(mine)  # first: a draft that becomes the claim while it is emptied would empty the claim
                shutil.rmtree(mine, ignore_errors=True)  # its owner may be at it too

    def _beat(self) -> None:
        while not self._released.wait(BEAT):
            self._renew()

    def _renew(self) -> None:
        try:
            os.utime(self.path)
        except FileNotFoundError:
            self._released.set()
        except OSError:  # the file system does not answer: until it does, the claim ages
            return
        self._heard = time.time()


def holder(folder: Path, now: float | None = None) -> Holder | None:
    """Who has claimed a run, whether or not that is still there; None if nobody has."""
    try:
        path = next((path for path in (folder / "claim").glob("*~*~*~*~*") if _names_process(path.name)), None)
        if path is None:
            return None
        silent = (time.time() if now is None else now) - path.stat().st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return None
    _, where, process, mark, host = path.name.split("~", 4)
    live = start_mark(int(process)) == mark if where == machine() else abs(silent) < LIMIT  # heard from in 2050: damage
    return Holder(path, host, int(process), live)


def _names_process(name: str) -> bool:
    parts = name.split("~", 4)
    return len(parts) == 5 and parts[2].isdecimal()


def _is_foreign(path: Path) -> bool:
    """True for a file, and for a folder in which nothing names a process; an empty one is being left."""
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        return True
    return bool(names) and not any(map(_names_process, names))

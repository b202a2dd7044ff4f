"""Exclusive claims on run folders, so that no two processes train the same run, on one machine or on several.

The claims are our own, rather than a lock from a library, because a claim must tell a live holder from a dead one: at
once on the same machine, and by its heartbeat where only the file system is shared.
"""

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
from zoo.system.processes import get_start_time, identify_machine, identify_process

_log = logging.getLogger("zoo")
HEARTBEAT_SECONDS = 5.0  # between two heartbeats
TIMEOUT_SECONDS = 60.0  # without a heartbeat, after which a process on another machine counts as gone
_ATTEMPTS = 200


class ClaimLost(RuntimeError):
    """Another process took over the run, because this one sent no heartbeat for too long."""


@dataclass(frozen=True)
class Holder:
    """The process that has claimed a run.

    Args:
        path: file of the claim.
        host: name of the machine.
        process: process ID on that machine.
        live: whether the process still runs, or has sent a heartbeat within ``TIMEOUT_SECONDS``.
    """

    path: Path
    host: str
    process: int
    live: bool

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


class Claim:
    """The exclusive right to train a run; as a context manager, renews itself from a thread.

    A claim is the single file in the folder ``claim``: its name identifies the holder, and its modification time is
    that of the last heartbeat. Every change of hands is a rename, because of several concurrent renames only one
    succeeds: a new claim is prepared as a folder, which is then renamed to ``claim``; to take over from a dead process,
    its file is renamed.

    Args:
        folder: folder of the run; created if missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        host = socket.gethostname().replace("/", "-")
        self.path = folder / "claim" / "~".join((secrets.token_hex(8), identify_process(), host))
        self._last_renewal, self._released = 0.0, threading.Event()

    def take(self) -> Holder | None:
        """Claims the run.

        Returns:
            None if the run is now ours, else the live process that holds it.
        Raises:
            OSError: if the folder cannot be written.
        """
        draft = self.folder / f".claim-{self.path.name[:16]}"
        draft.mkdir(parents=True, exist_ok=True)
        self._set_foreign_aside()
        try:
            for _ in range(_ATTEMPTS):
                with contextlib.suppress(OSError):  # another process was faster, or is leaving and removes drafts
                    if (other := self._try_claim(draft)) is not None and other.live:
                        return other
                if self.path.exists():
                    return None
                time.sleep(0.005)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        raise OSError(f"{self.path.parent} cannot be claimed: its content cannot be renamed")

    def _try_claim(self, draft: Path) -> Holder | None:
        """Renames the draft, or the claim of a dead process, to ours; returns the previous holder, if any."""
        draft.mkdir(exist_ok=True)
        (draft / self.path.name).touch()
        now = (draft / self.path.name).stat().st_mtime  # by the clock of the file system, which all machines share
        other = find_holder(self.folder, now)
        if other is None:
            draft.rename(self.folder / "claim")
        elif not other.live:
            os.utime(other.path)  # before the rename: a claim that looked expired could be taken from us at once
            other.path.rename(self.path)
        return other

    def _set_foreign_aside(self) -> None:
        """Moves anything that is not a claim out of the way: a claim is a folder with a file that names a process."""
        path = self.folder / "claim"
        with contextlib.suppress(OSError):  # nothing is there, or another process was faster
            if not _is_foreign(path):
                return
            moved = set_aside(path)
            if _is_foreign(moved):
                _log.warning("%s is not a claim written by zoo: set aside as %s", path, moved)
            else:  # between our check and our move, another process replaced it by a valid claim
                moved.rename(path)

    def has_leftovers(self) -> bool:
        """True if the folder has a claim or the draft of one, either in use or left by a process that was killed."""
        return next(self.folder.glob("claim"), None) is not None or next(self.folder.glob(".claim-*"), None) is not None

    def require_held(self, *, on_disk: bool = False) -> None:
        """Requires that the run is still ours.

        Args:
            on_disk: check the file even if the last heartbeat is recent.
        Raises:
            ClaimLost: if another process took the run over.
        """
        if on_disk or time.time() - self._last_renewal > TIMEOUT_SECONDS / 2:
            self._renew()
        if self._released.is_set():
            reason = f"this one sent no heartbeat for {TIMEOUT_SECONDS:.0f} s"
            raise ClaimLost(f"{self.folder} was taken over by another process: {reason}")

    def __enter__(self) -> Claim:
        self._renew()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._released.set()
        with contextlib.suppress(OSError):
            self.path.unlink()
            self.path.parent.rmdir()
        for draft in self.folder.glob(".claim-*"):  # of killed processes; a live owner creates its draft again
            mine = draft.with_name(f".claim-{secrets.token_hex(8)}")
            with contextlib.suppress(OSError):
                # Rename first: had its owner renamed the draft to the claim meanwhile, rmtree would empty the claim.
                draft.rename(mine)
                shutil.rmtree(mine, ignore_errors=True)  # its owner may be removing it too

    def _beat(self) -> None:
        while not self._released.wait(HEARTBEAT_SECONDS):
            self._renew()

    def _renew(self) -> None:
        try:
            os.utime(self.path)
        except FileNotFoundError:
            self._released.set()
        except OSError:  # the file system does not respond: the claim grows old until it does
            return
        self._last_renewal = time.time()


def find_holder(folder: Path, now: float | None = None) -> Holder | None:
    """Finds the process that has claimed a run, live or dead.

    Args:
        folder: folder of the run.
        now: time in seconds by the clock of the file system; None uses the clock of this machine.
    Returns:
        the holder, or None if the run is not claimed.
    """
    try:
        path = next((path for path in (folder / "claim").glob("*~*~*~*~*") if _names_process(path.name)), None)
        if path is None:
            return None
        silent = (time.time() if now is None else now) - path.stat().st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return None
    _, where, process, mark, host = path.name.split("~", 4)
    # a heartbeat from the far future is damage, so the age is bounded on both sides
    live = get_start_time(int(process)) == mark if where == identify_machine() else abs(silent) < TIMEOUT_SECONDS
    return Holder(path, host, int(process), live)


def _names_process(name: str) -> bool:
    parts = name.split("~", 4)
    return len(parts) == 5 and parts[2].isdecimal()


def _is_foreign(path: Path) -> bool:
    """True for a file, and for a folder in which no file names a process; an empty folder is a claim being released."""
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        return True
    return bool(names) and not any(map(_names_process, names))

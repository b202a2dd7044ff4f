"""Identifiers of processes, unique across machines and reboots, and checks of whether a process is still running."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import signal
import socket
import time
import uuid
from pathlib import Path

_STALE_AFTER = 24 * 3600.0  # seconds without changes after which a file of another machine's process is not in use


def identify_process(process: int | None = None) -> str:
    """Returns ``MACHINE~PID~START`` for a process, by default this one; a later process with the same PID differs."""
    number = os.getpid() if process is None else process
    return f"{identify_machine()}~{number}~{get_start_time(number) or ''}"


def is_running(identity: str) -> bool | None:
    """True if a process, given by its ``identify_process``, is running; None if it belongs to another machine."""
    where, number, mark = identity.split("~", 2)
    return get_start_time(int(number)) == mark if where == identify_machine() else None


def is_gone(identity: str, path: Path) -> bool:
    """True if a process has ended; for another machine's process, True if ``path`` has not changed for a day."""
    try:
        running = is_running(identity)
        return not running if running is not None else time.time() - path.stat().st_mtime > _STALE_AFTER
    except (ValueError, OSError):  # not an identifier of this format, or the file was removed meanwhile
        return False


@functools.cache
def identify_machine() -> str:
    """Returns an identifier shared by the processes of one boot of one machine, within one PID namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf8")
        known = boot + os.readlink("/proc/self/ns/pid")
    except OSError:
        known = f"{uuid.getnode()}{socket.gethostname()}"
    return hashlib.sha256(known.encode()).hexdigest()[:12]


def get_start_time(process: int) -> str | None:
    """Returns when a process started, in ticks since boot: None if it is not running, empty if it cannot be known."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        state, *fields = Path(f"/proc/{process}/stat").read_text(encoding="utf8").rpartition(")")[2].split()
        return None if state in "ZX" else fields[18]
    if Path("/proc/self/stat").exists():
        return None
    try:
        with contextlib.suppress(PermissionError):  # it is another user's
            os.kill(process, 0)
    except ProcessLookupError:
        return None
    return ""


def has_children() -> bool:
    """True if this process has running children that do not ignore SIGTERM; False where there is no ``/proc``."""
    own = str(os.getpid())
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            facts = dict(
                line.split(":\t", 1) for line in status.read_text(encoding="utf8").splitlines() if ":\t" in line
            )
            ignored = int(facts["SigIgn"], 16) >> (signal.SIGTERM - 1) & 1  # such helpers end when their pipe closes
            if facts["PPid"] == own and facts["State"][0] not in "ZX" and not ignored:
                return True
    return False

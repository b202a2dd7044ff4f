"""Processes by a name that no other one has, on this machine or another; who has written a name can be asked after."""

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

_FORGOTTEN = 24 * 3600.0  # seconds after which what a process of another machine left untouched is not in use


def identify_process(process: int | None = None) -> str:
    """``MACHINE~NUMBER~START`` of a process, by default this one; tells it from a later one of the same number."""
    number = os.getpid() if process is None else process
    return f"{machine()}~{number}~{start_mark(number) or ''}"


def is_running(identity: str) -> bool | None:
    """True or False for a process of this machine, as ``identify_process`` names it; None if it is another's."""
    where, number, mark = identity.split("~", 2)
    return start_mark(int(number)) == mark if where == machine() else None


def is_gone(identity: str, path: Path) -> bool:
    """True if the process is not there any more; one of another machine, if ``path`` is unchanged for a day."""
    try:
        running = is_running(identity)
        return not running if running is not None else time.time() - path.stat().st_mtime > _FORGOTTEN
    except (ValueError, OSError):  # not a name of ours, or removed meanwhile
        return False


@functools.cache
def machine() -> str:
    """Equal for processes that see one another by number: of one boot of one machine, and of one container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf8")
        known = boot + os.readlink("/proc/self/ns/pid")
    except OSError:
        known = f"{uuid.getnode()}{socket.gethostname()}"
    return hashlib.sha256(known.encode()).hexdigest()[:12]


def start_mark(process: int) -> str | None:
    """When a process began, in ticks since the boot; None if there is none, empty where that cannot be known."""
    try:
        state, *fields = Path(f"/proc/{process}/stat").read_text(encoding="utf8").rpartition(")")[2].split()
        return None if state in "ZX" else fields[18]
    except (FileNotFoundError, ProcessLookupError):
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""


def has_children() -> bool:
    """True if this process has begun others that run and can be ended; False where ``/proc`` does not tell."""
    own = str(os.getpid())
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError, ValueError, KeyError):
            facts = dict(
                line.split(":\t", 1) for line in status.read_text(encoding="utf8").splitlines() if ":\t" in line
            )
            ignored = int(facts["SigIgn"], 16) >> (signal.SIGTERM - 1) & 1  # by helpers that end when their pipe closes
            if facts["PPid"] == own and facts["State"][0] not in "ZX" and not ignored:
                return True
    return False

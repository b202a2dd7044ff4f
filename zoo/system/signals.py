"""Handles signals that ask a process to stop: Ctrl-C, kill, a closed terminal, and preemption by a scheduler.

Three kinds of processes handle them. A training records the signal and stops after the current step, with a
checkpoint. The process of a command raises ``Interrupted``; if it has workers, it first asks them to stop by creating a
file that they poll for. A worker leaves signals to that process and stops when it does, for whatever reason.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from zoo.system.processes import has_children, identify_process, is_running

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
HANDLED_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
GRACE = 25.0  # seconds to write a checkpoint; Slurm allows 30 between SIGTERM and SIGKILL
_POLL_INTERVAL = 0.5  # seconds
_PARENT = "_ZOO_PARENT"  # environment variable: identifier of the command's process, which its children stop with
_STOP_FILE = "_ZOO_ASKS_TO_END"  # environment variable: path of a file whose existence asks them to stop

Handler = Callable[[int, FrameType | None], Any]


class Interrupted(KeyboardInterrupt):
    """The error for a process that was asked to stop by a signal.

    Args:
        number: Number of the signal.
        done: Clause that says how much of the work is kept; the message ends with it.
    """

    def __init__(self, number: int, done: str = "") -> None:
        super().__init__(number, done)
        self.number, self.done = number, done

    @property
    def code(self) -> int:
        """Exit code that shells and schedulers expect."""
        return 128 + self.number

    def __str__(self) -> str:
        return f"interrupted by {signal.Signals(self.number).name}{self.done and ': '}{self.done}"


def install_handler(handler: Handler) -> dict[int, Any]:
    """Installs ``handler`` for all of ``HANDLED_SIGNALS`` and returns the previous handlers by signal.

    Ignored signals stay ignored, as under nohup. Outside the main thread this does nothing and returns an empty
    mapping, since Python allows handlers to be installed in the main thread only.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {number: signal.getsignal(number) for number in HANDLED_SIGNALS}
    replaced = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in replaced:
        signal.signal(number, handler)
    return replaced


@contextlib.contextmanager
def handle_signals(handler: Handler) -> Iterator[None]:
    """Context manager that installs ``handler`` for all of ``HANDLED_SIGNALS`` and restores the previous ones."""
    before = install_handler(handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


# ------------------------------------------------------------------------------------------------------- a training


class Interruption:
    """Context manager that records the first signal, so that the work can stop cleanly; a second one stops it at once.

    When the work has reached a point where it can stop, a third-party handler that was installed before is called
    (submitit's requeues the Slurm job); without one, ``Interrupted`` is raised.

    Attributes:
        number: Number of the recorded signal; 0 if none.
        done: Clause that says how much of the work is kept.
    """

    def __init__(self) -> None:
        self.number, self.done = 0, ""
        self._at_once = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        self._before = install_handler(self._note)
        if should_end():
            self.number = signal.SIGTERM
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, old in self._before.items():
            signal.signal(number, old)
        if kind is None and self.number:  # also where Python could not propagate the exception, as in a finalizer
            self.end(self.number)

    def install(self) -> None:
        """Installs the handlers again after a library has replaced them."""
        install_handler(self._note)

    def end_at_once(self) -> None:
        """Stops if a signal was recorded, and from now on as soon as one arrives."""
        self._at_once = True
        if self.number:
            self.end(self.number)

    def end(self, number: int) -> None:
        """Acts on a signal; returns only if a third-party handler lets the work continue."""
        before = self._before.get(number)
        ours = before is signal.default_int_handler or getattr(before, "__module__", "") == __name__
        if ours or not callable(before):
            raise Interrupted(number, self.done)
        before(number, None)
        self.number = 0

    def _note(self, number: int, frame: FrameType | None) -> None:
        again, self.number = bool(self.number), number
        if self._at_once or again:
            self.end(number)


# ------------------------------------------------------------------------------------------ a command and its workers

_received: list[int] = []


@contextlib.contextmanager
def handle_command_signals() -> Iterator[None]:
    """Context manager for the process of a command: raises ``Interrupted`` on a signal, once its workers have stopped.

    Workers have ``GRACE`` seconds to stop; a second signal does not wait for them.
    """
    asks = Path(tempfile.gettempdir()) / f"zoo-{secrets.token_hex(8)}"
    kept = {name: os.environ.get(name) for name in (_PARENT, _STOP_FILE)}
    os.environ.update({_PARENT: identify_process(), _STOP_FILE: str(asks)})

    def end(number: int, frame: FrameType | None) -> None:
        if _received or not has_children():
            _received.append(number)
            raise Interrupted(number)
        _received.append(number)
        asks.touch()
        again = threading.Timer(GRACE, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()
        timers.append(again)

    _received.clear()
    timers: list[threading.Timer] = []
    try:
        with handle_signals(end):
            yield
        raise_if_interrupted()
    except Exception as error:
        if _received:  # the error may be the consequence of a worker that was interrupted
            raise Interrupted(_received[0]) from error
        raise
    finally:
        for timer in timers:
            timer.cancel()
        asks.unlink(missing_ok=True)
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def raise_if_interrupted() -> None:
    """Raises ``Interrupted`` if workers have returned because of a signal."""
    if _received:
        raise Interrupted(_received[0])


# ---------------------------------------------------------------------------------------------------------- a worker

_parents: list[tuple[str, Path]] = []
"""Identifier of the process that this one stops with, if any, and the file that asks it to stop."""


def is_child() -> bool:
    """True if this process stops with another one that is still running."""
    return any(is_running(parent) for parent, _ in _parents)


def should_end() -> bool:
    """True if the process that this one stops with has ended or asks this one to stop."""
    return any(not is_running(parent) or asks.exists() for parent, asks in _parents)


def follow_parent(grace: float = GRACE) -> None:
    """Makes this process stop with the command that started it: by SIGTERM on request or if it ends, then by SIGKILL.

    Args:
        grace: Seconds between the end of the parent and SIGKILL, for writing a checkpoint.
    """
    parent, asks = os.environ.get(_PARENT, ""), os.environ.get(_STOP_FILE, "")
    if _parents or not parent or not asks or parent == identify_process() or is_running(parent) is None:
        return
    _parents.append((parent, Path(asks)))

    def follow() -> None:
        while not should_end():
            time.sleep(_POLL_INTERVAL)
        os.kill(os.getpid(), signal.SIGTERM)
        while is_running(parent):
            time.sleep(_POLL_INTERVAL)
        time.sleep(grace)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=follow, name="follow-parent", daemon=True).start()


def run_child(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs a zoo command as a child that receives this process's signals and stops with it; returns its exit code."""
    own = {_PARENT: identify_process(), _STOP_FILE: str(_parents[0][1]) if _parents else os.environ.get(_STOP_FILE, "")}
    process = subprocess.Popen(command, env={**environment, **own})
    with handle_signals(lambda number, frame: process.send_signal(number)):
        return process.wait()


def start_worker() -> bool:
    """Makes a worker stop with its command rather than alone, which would kill its pool; True in a worker.

    Signals to the whole process group are left to the command, which stops its workers in order; a training in
    progress records them nevertheless.
    """
    if os.environ.get(_PARENT, identify_process()) == identify_process():
        return False
    follow_parent()
    for number in HANDLED_SIGNALS if _parents and threading.current_thread() is threading.main_thread() else ():
        if signal.getsignal(number) in (
            signal.SIG_DFL,
            signal.default_int_handler,
        ):  # else the launcher's
            signal.signal(number, _leave_to_parent)
    return bool(_parents)


def _leave_to_parent(number: int, frame: FrameType | None) -> None:
    if not is_child():
        os._exit(128 + number)

"""Signals that ask a process to end: Ctrl-C, kill, a closed terminal, and what schedulers send before they take a node.

Three kinds of process serve them. A training notes the signal and ends after the step that it is at, with a checkpoint.
The process of a command raises ``Interrupted``; if it has workers, it asks them to end first, by a file that they look
for. A worker leaves signals to that process, and ends with it, however it ends.
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
SERVED = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
GRACE = 25.0  # seconds to write a checkpoint in; Slurm gives 30 between SIGTERM and SIGKILL
_LOOK = 0.5  # seconds between looks at what the parent does
_PARENT = "_ZOO_PARENT"  # environment variable: the process of a command, which its children end with
_ASKS = "_ZOO_ASKS_TO_END"  # environment variable: a file; once it is there, they are asked to end

Handler = Callable[[int, FrameType | None], Any]


class Interrupted(KeyboardInterrupt):
    """A signal asked the process to end.

    Args:
        number: of the signal.
        done: what is kept of the work, as the end of a sentence.
    """

    def __init__(self, number: int, done: str = "") -> None:
        super().__init__(number, done)
        self.number, self.done = number, done

    @property
    def code(self) -> int:
        """The exit code that shells and schedulers expect."""
        return 128 + self.number

    def __str__(self) -> str:
        return f"interrupted by {signal.Signals(self.number).name}{self.done and ': '}{self.done}"


def install_handler(handler: Handler) -> dict[int, Any]:
    """Hand the served signals to ``handler`` and return the handlers that were there, by signal.

    Those that are ignored, as under nohup, stay ignored. Only the main thread can install any.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {number: signal.getsignal(number) for number in SERVED}
    replaced = {number: old for number, old in before.items() if old not in (signal.SIG_IGN, None)}
    for number in replaced:
        signal.signal(number, handler)
    return replaced


@contextlib.contextmanager
def handled_signals(handler: Handler) -> Iterator[None]:
    """Hand the served signals to ``handler`` for a while."""
    before = install_handler(handler)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


# ------------------------------------------------------------------------------------------------------- a training


class Interruption:
    """Notes the first signal, so that the work can end at a good moment; at a second one it ends at once.

    A handler of somebody else that was there before, such as that of submitit, which asks Slurm for another place, acts
    when the work has come to that moment; where there was none, ``Interrupted`` is raised.

    Attributes:
        number: of the signal that was noted; 0 if none was.
        done: what is kept of the work, as the end of a sentence.
    """

    def __init__(self) -> None:
        self.number, self.done = 0, ""
        self._at_once = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        self._before = install_handler(self._note)
        if asked_to_end():
            self.number = signal.SIGTERM
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for number, old in self._before.items():
            signal.signal(number, old)
        if kind is None and self.number:  # also where Python could not pass the exception on, as in a finalizer
            self.end(self.number)

    def install(self) -> None:
        """Take the signals back from a library that has taken them."""
        install_handler(self._note)

    def end_at_once(self) -> None:
        """From now on no better moment follows: end if a signal was noted, and as soon as one is."""
        self._at_once = True
        if self.number:
            self.end(self.number)

    def end(self, number: int) -> None:
        """Do what a signal asks for; returns if the handler of somebody else lets the work go on."""
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

_heard: list[int] = []


@contextlib.contextmanager
def command_signals() -> Iterator[None]:
    """For the process of a command: raise ``Interrupted`` at a signal, once its workers have ended what they are at.

    Workers are given ``GRACE`` seconds; a second signal does not wait for them.
    """
    asks = Path(tempfile.gettempdir()) / f"zoo-{secrets.token_hex(8)}"
    kept = {name: os.environ.get(name) for name in (_PARENT, _ASKS)}
    os.environ.update({_PARENT: identify_process(), _ASKS: str(asks)})

    def end(number: int, frame: FrameType | None) -> None:
        if _heard or not has_children():
            _heard.append(number)
            raise Interrupted(number)
        _heard.append(number)
        asks.touch()
        again = threading.Timer(GRACE, os.kill, (os.getpid(), number))
        again.daemon = True
        again.start()
        timers.append(again)

    _heard.clear()
    timers: list[threading.Timer] = []
    try:
        with handled_signals(end):
            yield
        raise_if_interrupted()
    except Exception as error:
        if _heard:  # what comes first may be an error of a worker that has ended
            raise Interrupted(_heard[0]) from error
        raise
    finally:
        for timer in timers:
            timer.cancel()
        asks.unlink(missing_ok=True)
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def raise_if_interrupted() -> None:
    """Once workers have come back: end, if that is why."""
    if _heard:
        raise Interrupted(_heard[0])


# ---------------------------------------------------------------------------------------------------------- a worker

_followed: list[tuple[str, Path]] = []
"""The process that this one ends with, if there is one, and the file that asks for it."""


def is_child() -> bool:
    """True if this process ends with another one, which is running."""
    return any(is_running(parent) for parent, _ in _followed)


def asked_to_end() -> bool:
    """True if the process that this one ends with is gone, or asks for it."""
    return any(not is_running(parent) or asks.exists() for parent, asks in _followed)


def follow_parent(grace: float = GRACE) -> None:
    """End with the command that has begun this process: by SIGTERM when it asks for that or is gone, then by SIGKILL.

    Args:
        grace: seconds that are left for a checkpoint after the parent has gone.
    """
    parent, asks = os.environ.get(_PARENT, ""), os.environ.get(_ASKS, "")
    if _followed or not parent or not asks or parent == identify_process() or is_running(parent) is None:
        return
    _followed.append((parent, Path(asks)))

    def follow() -> None:
        while not asked_to_end():
            time.sleep(_LOOK)
        os.kill(os.getpid(), signal.SIGTERM)
        while is_running(parent):
            time.sleep(_LOOK)
        time.sleep(grace)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=follow, name="follow-parent", daemon=True).start()


def run_child(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command of ours as a child that ends with this process, which hands signals on to it; its exit code."""
    own = {_PARENT: identify_process(), _ASKS: str(_followed[0][1]) if _followed else os.environ.get(_ASKS, "")}
    process = subprocess.Popen(command, env={**environment, **own})
    with handled_signals(lambda number, frame: process.send_signal(number)):
        return process.wait()


def begin_worker() -> bool:
    """True in a worker of a command, which from now on ends with it, and does not die alone: its pool would be killed.

    Signals that reach the whole group are left to the command, which ends its workers in order; a training that is
    under way notes them all the same.
    """
    if os.environ.get(_PARENT, identify_process()) == identify_process():
        return False
    follow_parent()
    for number in SERVED if _followed and threading.current_thread() is threading.main_thread() else ():
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):  # else it is the launcher's
            signal.signal(number, _leave_to_parent)
    return bool(_followed)


def _leave_to_parent(number: int, frame: FrameType | None) -> None:
    if not is_child():
        os._exit(128 + number)

"""Checks, how one is run, and what comes of it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from zoo.testing.subject import Scope, Subject

Status = Literal["passed", "failed", "expected failure", "passed unexpectedly", "not run"]
FAILURES: tuple[Status, ...] = ("failed", "passed unexpectedly")


class Failed(Exception):
    """A component does not keep what its kind promises.

    Args:
        expected: what should have been.
        seen: what was.
    """

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}; seen {seen}")
        self.expected, self.seen = expected, seen


@dataclass(frozen=True)
class Check:
    """One thing that every component of some scope keeps.

    Args:
        name: of the function, without ``check_``.
        scope: what it looks at: the declaration of any component, a model that holds it, an objective and so on.
        run: raises Failed.
        look: where to look when it fails.
        after: checks without which this one means nothing; it is not run where one of them failed.
        defaults: whether it looks at default options only.
        when: whether it means something for a subject.
    """

    name: str
    scope: Scope
    run: Callable[[Subject], None]
    look: str
    after: tuple[str, ...] = ()
    defaults: bool = False
    when: Callable[[Subject], bool] = field(default=lambda subject: True)

    @property
    def description(self) -> str:
        """What is kept, in one sentence."""
        return (self.run.__doc__ or "").strip().splitlines()[0]

    def is_applicable_to(self, subject: Subject) -> bool:
        """Whether the subject is one that it looks at."""
        return subject.scope == self.scope and (subject.is_plain or not self.defaults) and self.when(subject)


CHECKS: dict[str, Check] = {}
"""All checks by name, in the order in which they are run."""


def check(
    scope: Scope,
    look: str,
    *,
    after: tuple[str, ...] = (),
    defaults: bool = False,
    when: Callable[[Subject], bool] = lambda subject: True,
) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """Make a function a check; its first line of documentation says what is kept."""

    def decorate(run: Callable[[Subject], None]) -> Callable[[Subject], None]:
        name = run.__name__.removeprefix("check_")
        CHECKS[name] = Check(name, scope, run, look, after, defaults, when)
        return run

    return decorate


@dataclass(frozen=True)
class Outcome:
    """What one check found of one subject."""

    subject: Subject
    check: Check
    status: Status
    expected: str = ""
    seen: str = ""
    look: str = ""

    @property
    def line(self) -> str:
        """All that a reader needs, in a few lines."""
        head = f"{self.subject.label}: {self.check.name}: {self.status}"
        if self.status in ("passed", "not run"):
            return f"{head}{': ' + self.seen if self.seen else ''}"
        return f"{head}\n  expected: {self.expected}\n  seen:     {self.seen}\n  look at:  {self.look}"


def list_checks(subject: Subject) -> Iterator[Check]:
    """The checks that mean something for a subject, in order."""
    return (item for item in CHECKS.values() if item.is_applicable_to(subject))


def run_check(subject: Subject, item: Check) -> Outcome:
    """Run one check, after those that it presupposes; each is run once a subject."""
    known: Outcome | None = subject.outcomes.get(item.name)
    if known is None:
        known = subject.outcomes[item.name] = _run_after_others(subject, item)
    return known


def _run_after_others(subject: Subject, item: Check) -> Outcome:
    for name in item.after:
        if CHECKS[name].is_applicable_to(subject):
            earlier = run_check(subject, CHECKS[name])
            if earlier.status not in ("passed", "passed unexpectedly"):
                return Outcome(subject, item, "not run", seen=f"it presupposes {name}, which did not pass")
    reason, look = subject.expected_failures.get(item.name), f"{item.look}; {subject.source}"
    try:
        item.run(subject)
    except Failed as failure:
        expected, seen = failure.expected, failure.seen
    except Exception as error:  # whatever a stranger's component may raise
        expected, seen = "no error", _format_error(error)
    else:
        if reason is None:
            return Outcome(subject, item, "passed")
        return Outcome(subject, item, "passed unexpectedly", f"a failure: {reason}", "none: take the entry away", look)
    if reason is None:
        return Outcome(subject, item, "failed", expected, seen, look)
    return Outcome(subject, item, "expected failure", expected, f"{seen} ({reason})", look)


def _format_error(error: Exception) -> str:
    """What was raised, and where, outside of torch and of this kit."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages/torch" not in frame.filename and "testing" not in frame.filename]
    place = f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}{place}"


def fail_unless(condition: bool, expected: str, seen: str) -> None:
    """Fail with these words unless ``condition`` holds."""
    if not condition:
        raise Failed(expected, seen)


def fail_unless_close(actual: Tensor, wanted: Tensor, expected: str, tolerance: float = 1e-9) -> None:
    """Fail unless two tensors agree; says by how much they differ, and where most."""
    fail_unless(actual.shape == wanted.shape, f"{expected}: shape {list(wanted.shape)}", f"shape {list(actual.shape)}")
    actual, wanted = actual.detach(), wanted.detach()
    difference = (actual - wanted).abs() / (1 + wanted.abs())
    if difference.numel() == 0 or float(difference.max()) <= tolerance:  # nan is greater than nothing
        return
    worst = difference.nan_to_num(nan=torch.inf).argmax()
    place = [int(i) for i in torch.unravel_index(worst, difference.shape)]
    raise Failed(
        f"{expected}, to {tolerance:.0e}",
        f"{float(actual.flatten()[worst]):.6g} instead of {float(wanted.flatten()[worst]):.6g} at {place}",
    )

"""Checks, their execution and their outcomes."""

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
    """Error of a check that a component fails.

    Args:
        expected: expected behavior.
        seen: observed behavior.
    """

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}; seen {seen}")
        self.expected, self.seen = expected, seen


@dataclass(frozen=True)
class Check:
    """Property that every component in a scope must have.

    Args:
        name: name of the function, without ``check_``.
        scope: kind of subject: the declaration of any component, a model with the component, an objective and so on.
        run: function that raises :class:`Failed` unless the subject has the property.
        look: where to look if it fails.
        after: names of checks on which this one depends; it is skipped if one of them failed.
        defaults: whether it applies to subjects with default options only.
        when: predicate of the subjects to which it applies.
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
        """Property in one sentence, the first line of the function's docstring."""
        return (self.run.__doc__ or "").strip().splitlines()[0]

    def is_applicable_to(self, subject: Subject) -> bool:
        """True if the check applies to the subject."""
        return subject.scope == self.scope and (subject.is_plain or not self.defaults) and self.when(subject)


CHECKS: dict[str, Check] = {}
"""All checks by name, in the order in which they run."""


def check(
    scope: Scope,
    look: str,
    *,
    after: tuple[str, ...] = (),
    defaults: bool = False,
    when: Callable[[Subject], bool] = lambda subject: True,
) -> Callable[[Callable[[Subject], None]], Callable[[Subject], None]]:
    """Registers a function as a :class:`Check`; the first line of its docstring states the property."""

    def decorate(run: Callable[[Subject], None]) -> Callable[[Subject], None]:
        name = run.__name__.removeprefix("check_")
        CHECKS[name] = Check(name, scope, run, look, after, defaults, when)
        return run

    return decorate


@dataclass(frozen=True)
class Outcome:
    """Outcome of a check on a subject."""

    subject: Subject
    check: Check
    status: Status
    expected: str = ""
    seen: str = ""
    look: str = ""

    @property
    def line(self) -> str:
        """Report of the outcome, in one line if the check passed and in four if it failed."""
        head = f"{self.subject.label}: {self.check.name}: {self.status}"
        if self.status in ("passed", "not run"):
            return f"{head}{': ' + self.seen if self.seen else ''}"
        return f"{head}\n  expected: {self.expected}\n  seen:     {self.seen}\n  look at:  {self.look}"


def list_checks(subject: Subject) -> Iterator[Check]:
    """Lists the checks that apply to a subject, in order."""
    return (item for item in CHECKS.values() if item.is_applicable_to(subject))


def run_check(subject: Subject, item: Check) -> Outcome:
    """Runs a check after those on which it depends; each runs once per subject."""
    known: Outcome | None = subject.outcomes.get(item.name)
    if known is None:
        known = subject.outcomes[item.name] = _run_after_others(subject, item)
    return known


def _run_after_others(subject: Subject, item: Check) -> Outcome:
    for name in item.after:
        if CHECKS[name].is_applicable_to(subject):
            earlier = run_check(subject, CHECKS[name])
            if earlier.status not in ("passed", "passed unexpectedly"):
                return Outcome(subject, item, "not run", seen=f"it depends on {name}, which did not pass")
    reason, look = subject.expected_failures.get(item.name), f"{item.look}; {subject.source}"
    try:
        item.run(subject)
    except Failed as failure:
        expected, seen = failure.expected, failure.seen
    except Exception as error:  # a component may raise anything
        expected, seen = "no error", _format_error(error)
    else:
        if reason is None:
            return Outcome(subject, item, "passed")
        return Outcome(
            subject,
            item,
            "passed unexpectedly",
            f"a failure: {reason}",
            "none: remove the entry from expected_failures",
            look,
        )
    if reason is None:
        return Outcome(subject, item, "failed", expected, seen, look)
    return Outcome(subject, item, "expected failure", expected, f"{seen} ({reason})", look)


def _format_error(error: Exception) -> str:
    """Formats an error with the last line of code outside of torch and this kit that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages/torch" not in frame.filename and "testing" not in frame.filename]
    place = f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}{place}"


def fail_unless(condition: bool, expected: str, seen: str) -> None:
    """Raises :class:`Failed` unless ``condition`` holds."""
    if not condition:
        raise Failed(expected, seen)


def fail_unless_close(actual: Tensor, wanted: Tensor, expected: str, tolerance: float = 1e-9) -> None:
    """Raises :class:`Failed` unless two tensors agree; the message gives the largest difference and its index.

    Args:
        actual: tensor that was computed.
        wanted: tensor of the same shape that it must equal.
        expected: description of ``wanted``.
        tolerance: largest allowed abs(actual - wanted) / (1 + abs(wanted)).
    """
    fail_unless(actual.shape == wanted.shape, f"{expected}: shape {list(wanted.shape)}", f"shape {list(actual.shape)}")
    actual, wanted = actual.detach(), wanted.detach()
    difference = (actual - wanted).abs() / (1 + wanted.abs())
    if difference.numel() == 0 or float(difference.max()) <= tolerance:  # False for NaN
        return
    worst = difference.nan_to_num(nan=torch.inf).argmax()
    place = [int(i) for i in torch.unravel_index(worst, difference.shape)]
    raise Failed(
        f"{expected}, to {tolerance:.0e}",
        f"{float(actual.flatten()[worst]):.6g} instead of {float(wanted.flatten()[worst]):.6g} at {place}",
    )

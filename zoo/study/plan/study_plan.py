"""Plan of a study: its question, arms, tasks and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.study.plan.controls import Matching, Rates
from zoo.study.plan.filters import Filter
from zoo.study.plan.tasks import Overrides, TaskPlan


@dataclass(frozen=True)
class StudyPlan:
    """Plan of a study, with the arms that its kind of plan makes.

    Attributes:
        name: Name of the study.
        path: Study file; an empty path if the command line is the study.
        question: Question of the study.
        expected: Expected answer.
        baseline: Arm that others are compared with, if any.
        seeds: Seeds that are run; with ``until_decided`` those that may be run.
        overrides: Overrides of all runs.
        arms: Overrides of each arm, by name.
        tasks: Tasks at every size.
        against: Reference of an arm, where that is not the baseline.
        factors: Levels of an arm of two factors; an empty text is the level of the baseline.
        matching: Quantity to match; None leaves the arms unchanged.
        rates: Learning rates to try; None uses that of the config.
        until_decided: If True, seeds are added until each arm has a verdict.
        kind: Kind of plan.
        axes: Values of an arm that filters may name.
        where: Filters that all runs meet.
        words: Arguments of ``zoo study`` for the same study.
        allowed: Modules and targets that its overrides may name, besides those that any file may.
        request: Arguments of ``zoo study`` that choose its runs; None if the plan is not that of a command.
    """

    name: str
    path: Path
    question: str
    expected: str
    baseline: str | None
    seeds: tuple[int, ...]
    overrides: Overrides
    arms: Mapping[str, Overrides]
    tasks: tuple[TaskPlan, ...]
    against: Mapping[str, str] = field(default_factory=dict)
    factors: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    matching: Matching | None = None
    rates: Rates | None = None
    until_decided: bool = False
    kind: str = "arms"
    axes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    where: tuple[Filter, ...] = ()
    words: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    request: tuple[str, ...] | None = None

"""Loads the plan of a study; all problems are reported at once, including those of its arms."""

from __future__ import annotations

from pathlib import Path

from zoo import limits
from zoo.checks import Refused
from zoo.study.cells.expand_plan import expand_plan
from zoo.study.plan.study_file import parse_plan, parse_study
from zoo.study.plan.study_plan import StudyPlan


def load_plan(study: str) -> StudyPlan:
    """Loads the plan of a study, given as for :func:`zoo.study.plan.study_file.parse_plan`.

    Raises:
        Refused: With every problem, including those of arms that can be checked despite the others.
    """
    return _require_no_problems(*parse_plan(study))


def read_study(path: Path) -> StudyPlan:
    """Loads the plan of a study file.

    Raises:
        Refused: With every problem, including those of arms that can be checked despite the others.
    """
    return _require_no_problems(*parse_study(path))


def _require_no_problems(plan: StudyPlan, problems: list[str]) -> StudyPlan:
    if problems:
        raise Refused("\n".join([*problems, *_find_arm_problems(plan)]))
    return plan


def _find_arm_problems(plan: StudyPlan) -> list[str]:
    try:
        if 0 < len(plan.arms) * len(plan.tasks) <= limits.SETTINGS:
            expand_plan(plan)
    except Refused as error:
        return str(error).splitlines()
    return []

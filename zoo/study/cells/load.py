"""Loads a study's plan and reports everything that is wrong with it at once, problems of its arms included."""

from __future__ import annotations

from pathlib import Path

from zoo import limits
from zoo.checks import Refused
from zoo.study.cells.expand import expand
from zoo.study.plan.study_file import StudyPlan, parse_plan, parse_study


def load_plan(study: str) -> StudyPlan:
    """Returns the plan of a study by name, or of what a command line said of one (:func:`parse_plan`).

    Raises:
        Refused: with every problem, those of arms that can be tried in spite of the others included.
    """
    return _require_sound(*parse_plan(study))


def read_study(path: Path) -> StudyPlan:
    """Returns the plan in a study file.

    Raises:
        Refused: with every problem, those of arms that can be tried in spite of the others included.
    """
    return _require_sound(*parse_study(path))


def _require_sound(plan: StudyPlan, problems: list[str]) -> StudyPlan:
    if problems:
        raise Refused("\n".join([*problems, *_find_problems_of_arms(plan)]))
    return plan


def _find_problems_of_arms(plan: StudyPlan) -> list[str]:
    try:
        if 0 < len(plan.arms) * len(plan.tasks) <= limits.SETTINGS:
            expand(plan)
    except Refused as error:
        return str(error).splitlines()
    return []

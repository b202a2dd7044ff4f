"""Problems that show when the arms of a study are built: what they may not set, absent arms, and repeated runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from zoo.runs.run_config import RunConfig
from zoo.study.cells.expansion import Expansion
from zoo.study.plan.cell import Setting
from zoo.study.plan.study_plan import StudyPlan


def find_fixed_overrides(plan: StudyPlan, overrides: Iterable[str]) -> list[str]:
    """Finds overrides of all runs that set what the study itself sets."""
    problems = []
    for line in overrides:
        key = line.split("=")[0].lstrip("+~")
        if key == "seed":
            problems.append(f"seed: is set by the seeds of the study: got {line}")
        if key == "optimizer.lr" and plan.rates is not None:
            problems.append(f"optimizer.lr: is chosen by the learning_rates of the study: got {line}")
    return problems


def find_rate_problems(plan: StudyPlan, arm: str, config: RunConfig) -> list[str]:
    """Finds reasons why the learning rate of an arm cannot be tuned; none in a study that tunes no rates."""
    if plan.rates is None:
        return []
    problems, optimizer, own = [], config.optimizer, plan.arms[arm].get("optimizer")
    if "lr" not in optimizer.arguments:
        problems.append(f"learning_rates: the optimizer has no lr: got {optimizer.path}")
    if "optimizer.lr" in plan.arms[arm] or (isinstance(own, Mapping) and "lr" in own):
        problems.append("optimizer.lr: is chosen by learning_rates: no arm may set it")
    return problems


def find_absent_arms(plan: StudyPlan, expansion: Expansion, reported: Sequence[str]) -> list[str]:
    """Finds named arms that apply to no task, and notes if there is nothing to compare.

    Args:
        plan: Plan of the study.
        expansion: All arms on all tasks.
        reported: Problems so far; arms that they name are not reported again.
    """
    problems = []
    applied = {setting.arm for setting in expansion.settings}
    excluded = {arm for arm, _, _ in expansion.left_out}
    named = {arm for line in reported for arm in plan.arms if f" {arm}: " in line}
    for arm, task, why in expansion.not_applicable:
        if plan.kind == "arms" and arm not in applied | excluded | named:
            problems.append(f"{task} {arm}: {why}")
    if not (reported or problems) and plan.baseline and not applied - {plan.baseline} and len(plan.arms) > 1:
        reasons = "; ".join(f"{task} {arm}: {why}" for arm, task, why in expansion.not_applicable)
        problems.append(f"no arm is left to compare with {plan.baseline}: {reasons or 'filters exclude all others'}")
    return problems


def find_repeated_runs(settings: Iterable[Setting]) -> list[str]:
    """Finds settings that are the same run as an earlier one."""
    problems = []
    first: dict[str, Setting] = {}
    for setting in settings:
        other = first.setdefault(setting.checked.hash, setting)
        if other is not setting:
            one, two = (f"{each.task} {each.arm}" for each in (setting, other))
            problems.append(f"{one} is the same run as {two}: arms must differ")
    return problems

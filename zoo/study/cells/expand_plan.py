"""Expands the plan of a study: every arm on every task, checked and matched to the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zoo.checks import Refused
from zoo.config.checking import check_run
from zoo.config.compose import compose_run, find_carried_options
from zoo.config.format_override import format_override
from zoo.config.targets import find_foreign_targets
from zoo.report.records.contrasts import find_references
from zoo.report.records.records import Match
from zoo.study.cells.arm_problems import (
    find_absent_arms,
    find_fixed_overrides,
    find_rate_problems,
    find_repeated_runs,
)
from zoo.study.cells.expansion import Expansion
from zoo.study.cells.side_changes import find_side_changes
from zoo.study.match.match_arm import match_arm
from zoo.study.plan.cell import Setting
from zoo.study.plan.study_plan import StudyPlan
from zoo.study.plan.tasks import TaskPlan, merge_overrides
from zoo.training.run import run_folder


def expand_plan(plan: StudyPlan, overrides: Sequence[str] = ()) -> Expansion:
    """Expands a plan into all arms on all tasks, checked and matched.

    Args:
        plan: Plan of the study.
        overrides: Overrides of all runs, applied last.

    Raises:
        Refused: With every problem of every arm.
    """
    return _Expander(plan, overrides).expand()


class _Expander:
    """Expands a plan task by task, and collects what it finds."""

    def __init__(self, plan: StudyPlan, overrides: Sequence[str]) -> None:
        self.plan, self.overrides = plan, overrides
        self.problems: list[str] = []
        self.settings: list[Setting] = []
        self.not_applicable: list[tuple[str, str, str]] = []
        self.matches: dict[tuple[str, str], Match] = {}
        self.left_out: list[tuple[str, str, tuple[int, ...]]] = []
        self.changes: dict[tuple[str, str], tuple[str, ...]] = {}

    def expand(self) -> Expansion:
        """Expands the plan on all tasks."""
        self.problems += find_fixed_overrides(self.plan, self.overrides)
        for task in self.plan.tasks:
            built = {arm: setting for arm in self.plan.arms if (setting := self._build_setting(task, arm))}
            self._check_baseline(task, built)
            self.settings += self._match_settings(task, built).values()
        self.problems += find_absent_arms(self.plan, self._build_expansion(), self.problems)
        self.problems += find_repeated_runs(self.settings)
        if self.problems:
            raise Refused("\n".join(dict.fromkeys(self.problems)))
        return self._build_expansion()

    def _build_expansion(self) -> Expansion:
        found = (tuple(self.settings), tuple(self.not_applicable), self.matches, tuple(self.left_out))
        return Expansion(*found, self.changes)

    # ------------------------------------------------------------------------------------------------ one arm

    def _build_setting(self, task: TaskPlan, arm: str) -> Setting | None:
        """Builds an arm on a task; returns None if filters exclude it or it cannot be built."""
        excluded = self._find_excluded_seeds(task, arm)
        if excluded:
            self.left_out.append((arm, task.name, excluded))
        if excluded and len(excluded) == len(self.plan.seeds):
            return None
        left_out = frozenset(excluded)
        merged = merge_overrides(self.plan.overrides, task.overrides, self.plan.arms[arm])
        lines = (*(format_override(key, value) for key, value in merged.items()), *self.overrides)
        lines = (*(format_override(f"++{key}", value) for key, value in find_carried_options(lines).items()), *lines)
        try:
            given = compose_run(lines)
            if foreign := find_foreign_targets(given, self.plan.allowed):
                raise Refused("\n".join(foreign))
            checked = check_run(
                given, lambda config: self._was_trained(Setting(arm, task.name, lines, config, left_out))
            )
        except Refused as error:
            self._note_problems(task, arm, str(error).splitlines(), unfit=False)
            return None
        if checked.problems:
            self._note_problems(task, arm, checked.problems, unfit=checked.unfit)
            return None
        self.problems += [f"{task.name} {arm}: {line}" for line in find_rate_problems(self.plan, arm, checked.config)]
        return Setting(arm, task.name, lines, checked, left_out)

    def _was_trained(self, setting: Setting) -> bool:
        """True if the first run of a setting has a result."""
        rate, seeds = None, self.plan.seeds
        if self.plan.rates is not None:
            rate, seeds = self.plan.rates.values[0], self.plan.rates.seeds
        first = next((seed for seed in seeds if seed not in setting.left_out), None)
        return first is not None and run_folder(setting.build_cell(first, rate).checked).state == "done"

    def _find_excluded_seeds(self, task: TaskPlan, arm: str) -> tuple[int, ...]:
        """Finds the seeds that filters exclude."""
        known = {**self.plan.axes.get(arm, {}), "task": task.of or task.name, "arm": arm, "size": task.size}
        try:
            return tuple(
                seed
                for seed in self.plan.seeds
                if not all(line.is_met({**known, "seed": seed}) for line in self.plan.where)
            )
        except Refused as error:
            self.problems.append(str(error))
            return ()

    def _note_problems(self, task: TaskPlan, arm: str, problems: Sequence[str], *, unfit: bool) -> None:
        """Notes an arm as not applicable if its parts do not fit together, and its problems otherwise.

        The steps between the ends of a path are not applicable in any case, since no user wrote them.
        """
        between = self.plan.kind == "path" and arm not in (next(iter(self.plan.arms)), list(self.plan.arms)[-1])
        if unfit or between:
            self.not_applicable.append((arm, task.name, "; ".join(problems)))
        else:
            self.problems += [f"{task.name} {arm}: {line}" for line in problems]

    # --------------------------------------------------------------------------------------------- all of a task

    def _check_baseline(self, task: TaskPlan, built: Mapping[str, Setting]) -> None:
        baseline = self.plan.baseline
        if baseline in built or baseline is None or baseline not in self.plan.arms:
            if not built and baseline is None and not self.problems:
                self.problems.append(f"{task.name}: no arm is left: {self._explain_absence(task)}")
            return
        if not any(line.startswith(f"{task.name} {baseline}: ") for line in self.problems):
            self.problems.append(
                f"{task.name}: the baseline {baseline} cannot be built: {self._explain_absence(task, baseline)}"
            )

    def _explain_absence(self, task: TaskPlan, arm: str | None = None) -> str:
        known = [why for name, of, why in self.not_applicable if of == task.name and arm in (None, name)]
        return known[0] if known else "filters exclude it"

    def _match_settings(self, task: TaskPlan, built: dict[str, Setting]) -> dict[str, Setting]:
        """Matches settings to the baseline, and drops steps of a path that change nothing on this task."""
        found: dict[str, Setting] = {}
        baseline = built.get(self.plan.baseline or "")
        for arm, setting in built.items():
            found[arm] = setting
            if self.plan.matching is not None and baseline is not None and setting is not baseline:
                try:
                    found[arm], self.matches[arm, task.name] = match_arm(setting, baseline, self.plan.matching)
                except Refused as error:
                    self.problems += [f"{task.name} {arm}: {line}" for line in str(error).splitlines()]
            other = find_references(self.plan.baseline, self.plan.against, found).get(arm)
            if other is not None and self.plan.kind != "path":  # a path replaces whole parts
                self._note_changes(setting, built[other])
            if self.plan.kind == "path" and other and found[other].checked.hash == found[arm].checked.hash:
                del found[arm]
                self.matches.pop((arm, task.name), None)
                self.not_applicable.append((arm, task.name, f"it changes nothing: it is the same run as {other}"))
        return found

    def _note_changes(self, setting: Setting, other: Setting) -> None:
        if more := find_side_changes(setting.checked, other.checked, self.plan.arms[setting.arm]):
            self.changes[setting.arm, setting.task] = more

"""A study of runs that belong to none."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zoo.checks import Refused, require, suggest
from zoo.report.records.learning_curves import list_metrics
from zoo.report.records.metrics import SENSITIVE_METRICS
from zoo.report.records.records import Run, Study, Task, find_loss_differences, read_run
from zoo.runs.config_sections import Options
from zoo.runs.flat_configs import ABSENT, find_differing_keys, flatten_to_text, shorten_keys
from zoo.runs.run_folder import RunFolder

_log = logging.getLogger("zoo")
_PRIMARY = (*SENSITIVE_METRICS, "exact_match", "token_accuracy", "masked_accuracy", "replaced_accuracy")
"""Metrics in the order in which they become the primary one."""


@dataclass(frozen=True)
class ComparisonOptions:
    """Options for comparing runs that belong to no study.

    Attributes:
        baseline: arm that others are compared with, given by its name or by parts of the name that identify it; without
            a baseline there are no verdicts.
        metrics: metrics in the tables, the primary one first; all metrics of the runs if empty.
        margin: largest difference that counts as equal, as in :class:`Task`.
    """

    baseline: str | None = None
    metrics: tuple[str, ...] = ()
    margin: float | None = None

    @property
    def arguments(self) -> list[str]:
        """Command-line arguments that give these options."""
        arguments = [] if self.baseline is None else [f"baseline={self.baseline}"]
        arguments += [f"metrics={','.join(self.metrics)}"] if self.metrics else []
        return arguments if self.margin is None else [*arguments, f"margin={self.margin:g}"]


def build_study(
    folders: Sequence[Path],
    planned: Mapping[Path, Options] | None = None,
    options: ComparisonOptions = ComparisonOptions(),
) -> tuple[Study, list[Run]]:
    """Builds a study from run folders that belong to no study.

    Runs that differ in the seed alone form an arm, named by the config values that set it apart; tasks are named after
    their data.

    Args:
        folders: folders of the runs.
        planned: configs of runs that may not have started, by folder.
        options: baseline, metrics and margin of the comparison.

    Returns:
        The study and its runs.

    Raises:
        Refused: if there is no folder, a folder has no config, two folders hold the same run, or ``options`` names an
            arm or a metric that does not exist.
    """
    require(len(folders) > 0, "a report needs at least one run folder: got none")
    unnamed = [read_run(folder, "", "", 0) for folder in dict.fromkeys(Path(f).resolve() for f in folders)]
    if len(unnamed) == 1 and (damage := RunFolder(unnamed[0].folder).find_damage()):
        raise damage
    unnamed = [replace(run, config=(planned or {}).get(run.folder, run.config)) for run in unnamed]
    for run in unnamed:
        if not run.config:
            require(bool(run.notes) and len(unnamed) > 1, _explain_missing_config(run))
            _log.warning("ignored: %s", _describe_damage(run))
    unnamed = [run for run in unnamed if run.config]
    require(len(unnamed) > 0, "a report needs a run folder that can be read: got none")
    by_task: dict[str, list[Run]] = {}
    for run in unnamed:
        by_task.setdefault(_get_task_name(run), []).append(run)
    runs = [run for task, members in by_task.items() for run in _name_arms(task, members)]
    _require_distinct_runs(runs)
    arms: dict[str, Mapping[str, Any]] = {run.arm: {} for run in runs}
    baseline = None if options.baseline is None else _find_arm(options.baseline, arms)
    tasks = tuple(_build_task(task, [run for run in runs if run.task == task], options) for task in by_task)
    command = shlex.join(["zoo", "report", *map(str, folders), *options.arguments])
    name, question = f"{len(runs)} runs", "How do these runs compare?"
    return Study(name, question, "", baseline, arms, tasks, (), command), runs


def _find_arm(given: str, arms: Iterable[str]) -> str:
    """Returns the arm of that name, or the only arm whose name contains all parts of ``given``."""
    known = list(arms)
    if given in known:
        return given
    parts = set(given.split(", "))
    found = [arm for arm in known if parts <= set(arm.split(", "))]
    if len(found) > 1:
        raise Refused(f"baseline: {given!r} must identify one arm: got {'; '.join(found)}")
    if not found:
        raise Refused(f"baseline: unknown arm {given!r}: {suggest(given, known)}")
    return found[0]


def _get_task_name(run: Run) -> str:
    return str(run.get_section("data").get("name", "data"))


def _name_arms(task: str, runs: Sequence[Run]) -> list[Run]:
    """Sets task, seed and arm of the runs of one task; arms are named by the config values in which they differ."""
    configs = [flatten_to_text(run.config) for run in runs]
    keys = shorten_keys(find_differing_keys(configs))
    names: dict[tuple[str, ...], str] = {}
    for run, config in zip(runs, configs, strict=True):
        own = tuple(config.get(key, ABSENT) for key in keys)
        names.setdefault(own, _format_arm_name(run, dict(zip(keys.values(), own, strict=True)), names.values()))
    arms = [names[tuple(config.get(key, ABSENT) for key in keys)] for config in configs]
    pairs = zip(runs, arms, strict=True)
    return [replace(run, arm=arm, task=task, seed=run.recorded_seed) for run, arm in pairs]


def _format_arm_name(run: Run, differences: Mapping[str, str], taken: Iterable[str], limit: int = 3) -> str:
    """Formats the first few differences as ``key=value``, with a number if that name is taken."""
    pairs = [f"{key}={value if len(value) <= 24 else value[:23] + '…'}" for key, value in differences.items()]
    alone = str(run.get_section("model").get("name", "run"))
    name = ", ".join(pairs[:limit]) + (" …" if len(pairs) > limit else "") if pairs else alone
    same = [other for other in taken if other == name or other.startswith(f"{name} (")]
    return f"{name} ({len(same) + 1})" if same else name


def _require_distinct_runs(runs: Iterable[Run]) -> None:
    seen: dict[tuple[str, str, int], Run] = {}
    for run in runs:
        first = seen.setdefault((run.arm, run.task, run.seed), run)
        if first is not run:
            raise Refused(f"runs must differ in config or seed: got the same in {first.folder} and {run.folder}")


def _build_task(name: str, runs: Sequence[Run], options: ComparisonOptions) -> Task:
    """Builds the task of these runs; they are comparable if data and objective are the same."""
    found = {name for run in runs for name in run.metrics}
    if not found:
        curves = list_metrics([run.curves for run in runs])
        found = {column.removeprefix("validation/") for column in curves if column.startswith("validation/")}
    for metric in options.metrics if found else ():
        require(metric in found, f"metrics: {name} has no {metric!r}: {suggest(metric, found)}")
    ordered = [key for key in _PRIMARY if key in found] + sorted(found - {*_PRIMARY, "tokens_per_second"})
    different = find_loss_differences(runs)
    note = f"These runs differ in {', '.join(different)}." if different else ""
    return Task(name, not different, options.metrics or tuple(ordered), note, options.margin)


def _describe_damage(run: Run) -> str:
    return "; ".join(run.notes) or f"got {run.folder}"


def _explain_missing_config(run: Run) -> str:
    if run.notes:
        return run.notes[-1]
    file = run.folder / "config.yaml"
    if file.exists():
        return f"{file} must hold the config of a run"
    return f"a run folder must hold config.yaml: {_describe_damage(run)}"

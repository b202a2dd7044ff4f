"""Checks a composed config and reports all problems at once, each with its config path; needs no Hydra."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from zoo.checks import Incompatibility, Refused
from zoo.config.checkpoint_start import resolve_checkpoint
from zoo.config.data_and_objective import check_data, check_objective, find_fit_problems, find_required_in_unchecked
from zoo.config.hardware import find_device_problems, find_precision_problems, resolve_precision
from zoo.config.run_options import check_run_options
from zoo.config.targets import CALLED, NAMED_TARGETS, TARGETS, find_target_problems, find_value_problems, is_shipped
from zoo.model import build
from zoo.model.plan import ModelPlan
from zoo.runs.config_sections import Target
from zoo.runs.run_config import RunConfig


@dataclass(frozen=True)
class CheckedConfig:
    """The outcome of a check: a complete config, and its problems.

    Args:
        complete: the config with defaults filled in; None if problems leave it incomplete.
        plan: the model; None if its config has problems.
        problems: one message per problem, each with its config path.
    """

    complete: RunConfig | None
    plan: ModelPlan | None
    problems: tuple[str, ...]

    @property
    def config(self) -> RunConfig:
        """The config with defaults filled in.

        Raises:
            Refused: with all problems, if they leave it incomplete.
        """
        if self.complete is None:
            raise Refused("\n".join(self.problems))
        return self.complete

    @property
    def hash(self) -> str:
        """Hash of the config, which names the run folder; equal configs share one run."""
        return self.config.hash

    @property
    def unfit(self) -> bool:
        """True if all problems are incompatible choices, each of which would work with others."""
        return bool(self.problems) and all(isinstance(problem, Incompatibility) for problem in self.problems)

    def require(self) -> None:
        """Raises :class:`Refused` with all problems, one per line, if there are any."""
        if self.problems:
            raise Refused("\n".join(self.problems))


def check_run(
    given: Mapping[str, Any], was_trained: Callable[[CheckedConfig], bool] = lambda checked: False
) -> CheckedConfig:
    """Checks a composed config, fills in defaults and resolves ``auto``.

    Args:
        given: the composed config.
        was_trained: returns True for a config that has a result. Its optimizer, schedule and trainer were checked
            before training, so they are not imported again, which takes seconds.
    """
    problems: list[str] = []
    config = check_run_options(given, problems)
    plan = _check_computation(given, config, problems)
    for section in (*TARGETS, *NAMED_TARGETS):
        config[section] = dict(given.get(section) or {})
    asked = str(config.get("precision"))
    config["precision"] = resolve_precision(asked, config["trainer"])
    named = _find_named_problems(config)
    if problems or named or not was_trained(CheckedConfig(RunConfig.from_mapping(config), plan, ())):
        for section in TARGETS:
            problems += _find_section_problems(section, config[section], problems)
    problems += named
    complete = None if problems else RunConfig.from_mapping(config)
    if complete is not None and plan is not None:
        problems += map(Incompatibility, find_fit_problems(complete, plan))
    problems += find_precision_problems(asked, config)
    problems += find_device_problems(config["trainer"])
    return CheckedConfig(complete, plan, tuple(dict.fromkeys(problems)))


def _check_computation(given: Mapping[str, Any], config: dict[str, Any], problems: list[str]) -> ModelPlan | None:
    """Puts the checked sections model, data and objective into ``config``; returns the plan of the model."""
    model = given.get("model") or {}
    required = partial(find_required_in_unchecked, given.get("objective"))
    start = resolve_checkpoint(model if isinstance(model, Mapping) else {}, given.get("data"), problems, required)
    config["model"], plan, found = build.check(start.model)
    config["model"] |= start.keys
    problems += [] if start.failed else found
    config["data"] = check_data(start.data, problems)
    config["objective"] = check_objective(given.get("objective"), config["model"], config["data"], problems)
    return plan


def _find_named_problems(config: Mapping[str, Any]) -> list[str]:
    """Finds problems of loggers and callbacks."""
    return [
        line
        for section in NAMED_TARGETS
        for name, item in config[section].items()
        for line in find_target_problems(f"{section}.{name}", item if isinstance(item, Mapping) else {})
    ]


def _find_section_problems(section: str, given: Mapping[str, Any], problems: Sequence[str]) -> list[str]:
    if section == "trainer" and is_shipped(section, given):  # spares the import of Lightning, which takes seconds
        return []
    found = find_target_problems(section, given)
    known = any(problem.startswith("steps:") for problem in problems)  # the schedule would report it again
    if known:
        found = [problem for problem in found if not problem.startswith("schedule.steps:")]
    if found or section not in CALLED or (known and section == "schedule"):
        return found
    return find_value_problems(section, Target.from_mapping(given))

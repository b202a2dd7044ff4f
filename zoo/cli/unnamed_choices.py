"""Notes on choices that the command line does not name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from zoo.checks import Refused
from zoo.config.checking import CheckedConfig, check_run
from zoo.config.classify_overrides import split_component_overrides
from zoo.config.compose import compose_run
from zoo.config.data_and_objective import describe_default_objective
from zoo.study.cells.side_changes import find_side_changes
from zoo.system.terminal import say


def note_choices_of_job(given: Mapping[str, Any], checked: CheckedConfig) -> None:
    """Prints the notes on a training of Hydra that belongs to no study, whose dry run and report list such choices.

    In a sweep, the default objective is left out, since each of its jobs would repeat it.

    Args:
        given: the composed config.
        checked: the same config, checked.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    known = HydraConfig.get()
    if known.job.config_name != "train" or "LOCAL_RANK" in os.environ:
        return
    note_component_changes(known.overrides.task, checked)
    if known.mode == RunMode.RUN:
        note_default_objective(given, checked)


def note_component_changes(
    overrides: Sequence[str], checked: CheckedConfig | None = None, file: TextIO | None = None
) -> None:
    """Prints a note if the chosen components change more than the overrides say.

    Options that two components share carry over. Options that the new one lacks are dropped, such as ``bias: all`` of
    the preset ``gpt`` with ``model/attention=latent``, and options that both have can differ by their defaults.

    Args:
        overrides: words of the command line.
        checked: the config that they give, if it is known.
        file: Output stream; standard output by default.
    """
    if changes := find_component_changes(overrides, checked):
        say(f"note: other options change with the chosen components: {'; '.join(changes)}", file=file, flush=True)


def note_default_objective(given: Mapping[str, Any], checked: CheckedConfig) -> None:
    """Prints a note on the objective that was chosen by default, unless the composed config names one."""
    config = checked.config
    if chosen := describe_default_objective(given.get("objective"), config.model.variant, config.data.source.name):
        say(f"note: {chosen}", flush=True)


def find_component_changes(overrides: Sequence[str], checked: CheckedConfig | None = None) -> tuple[str, ...]:
    """Finds changes that the overrides do not name, compared with the components of the preset; empty if none."""
    components, others = split_component_overrides(overrides)
    slots = tuple(line.split("=")[0].replace("/", ".") + "." for line in components)
    if not slots:
        return ()
    kept = [line for line in others if not line.lstrip("+~").startswith(slots)]
    chosen = {line.split("=")[0]: None for line in overrides if line not in kept}
    try:
        return find_side_changes(checked or _check(overrides), _check(kept), chosen)
    except Refused:  # one of the configs is not complete, so there is nothing to compare
        return ()


def _check(overrides: Sequence[str]) -> CheckedConfig:
    """Checks a config that is not trained, without importing the optimizer, the schedule and the trainer."""
    return check_run(compose_run(overrides), was_trained=lambda checked: True)

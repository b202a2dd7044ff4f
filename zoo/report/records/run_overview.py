"""Overview of a group of runs: config values in which the arms differ, and runs that have not finished."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.report.records.records import Run
from zoo.runs.flat_configs import ABSENT, find_differing_keys, flatten_to_text


def find_config_differences(runs: Sequence[Run]) -> dict[str, dict[str, str]]:
    """Returns the config keys in which the arms of one task differ, sorted, with the value of each arm.

    The config of an arm is that of its first run, without the seed; a key that an arm lacks has the value ``ABSENT``.
    """
    configs: dict[str, dict[str, str]] = {}
    for run in runs:
        if run.config and run.arm not in configs:
            configs[run.arm] = flatten_to_text(run.config)
    keys = sorted(find_differing_keys(configs.values()))
    return {key: {arm: config.get(key, ABSENT) for arm, config in configs.items()} for key in keys}


def find_unfinished_seeds(runs: Sequence[Run]) -> dict[tuple[str, str], list[int]]:
    """Returns the seeds that have neither finished nor failed, by arm and task."""
    seeds: dict[tuple[str, str], list[int]] = {}
    for run in runs:
        if run.result is None and run.failure is None:
            seeds.setdefault((run.arm, run.task), []).append(run.seed)
    return seeds

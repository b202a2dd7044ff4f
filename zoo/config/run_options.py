"""Options of a run besides its sections: seed, steps, batch, precision, folders; imports neither torch nor Hydra."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.registry.options import Choice, Maybe, Option, Scalar, check_options
from zoo.system.names import check_path

SECTIONS = ("model", "data", "objective", "optimizer", "schedule", "trainer", "logger", "callbacks")
"""Sections of a config; they are open to Hydra, because zoo checks their keys."""
RUN_OPTIONS = (
    Option("seed", Scalar(int)),
    Option("steps", Scalar(int)),
    Option("batch", Scalar(int)),
    Option("accumulate", Scalar(int)),
    Option("clip", Maybe(Scalar(float))),
    Option("evaluate", Scalar(int)),
    Option("checkpoint", Scalar(int)),
    Option("checkpoint_seconds", Maybe(Scalar(float)), 60.0),
    Option("precision", Choice(("auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true"))),
    Option("threads", Maybe(Scalar(int))),
    Option("compile", Scalar(bool), False),
    Option("examples", Scalar(int)),
    Option("label", Scalar(str), ""),
    Option("runs", Scalar(str)),
    Option("cache", Scalar(str)),
)
_POSITIVE = ("steps", "batch", "accumulate", "evaluate", "checkpoint", "checkpoint_seconds", "clip", "threads")


def check_run_options(given: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """Checks the options of a run, and the names of its sections, and fills in defaults."""
    config = check_options(RUN_OPTIONS, given, "", problems, also=SECTIONS)
    if problems:
        return config
    low = [name for name in _POSITIVE if config[name] is not None and config[name] <= 0]
    problems += [f"{name}: must be positive: got {config[name]}" for name in low]
    if config["examples"] < 0:
        problems.append(f"examples: must not be negative: got {config['examples']}")
    for name in ("runs", "cache"):
        problems += check_path(name, config[name]) if config[name] else [f"{name}: must name a folder: got ''"]
    return config

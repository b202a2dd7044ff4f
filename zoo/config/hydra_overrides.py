"""Overrides of Hydra itself and of runs; importing this module loads neither torch nor Hydra."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.checks import Refused


def is_for_hydra(override: str) -> bool:
    """True if an override is about Hydra and not about a run."""
    return override.lstrip("+~").startswith(("hydra.", "hydra/"))


def drop_hydra_overrides(overrides: Sequence[str]) -> list[str]:
    """Returns the overrides that are about runs."""
    return [word for word in overrides if not is_for_hydra(word)]


def refuse_unknown_overrides(overrides: Sequence[str]) -> None:
    """Refuses overrides that Hydra could not apply, all at once."""
    from zoo.config.compose import find_override_problems

    if problems := find_override_problems(overrides):
        raise Refused("\n".join(problems.values()))

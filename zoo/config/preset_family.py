"""Published families by the names of presets."""

from __future__ import annotations

import functools

from zoo.checks import Refused, suggest
from zoo.config.compose import compose_run
from zoo.config.groups import list_choices
from zoo.hub.family_index import get_families
from zoo.hub.misfits import find_fitting_family
from zoo.hub.native import NATIVE
from zoo.hub.origin import Origin
from zoo.model.build import check

_VOCABULARY = 100
"""A size for presets that take theirs from the data; families fit any."""


@functools.cache
def find_preset_family(preset: str) -> str | None:
    """Returns the ``model_type`` of the family that a preset fits, that of its own name if possible; None if none."""
    config = compose_run([f"model={preset}"])["model"]
    _, plan, _ = check({**config, "vocabulary": config.get("vocabulary") or _VOCABULARY})
    fitting = None if plan is None else find_fitting_family(plan, Origin(preset))
    return None if fitting is None else fitting.name


def resolve_family(name: str) -> str:
    """Returns the ``model_type`` that a name stands for.

    Args:
        name: a ``model_type`` of ``transformers`` or ``zoo``, which are returned as they are, or a preset.
    Raises:
        Refused: if it is neither, or a preset that fits no published family; the message suggests a similar name.
    """
    known = {NATIVE.name, *get_families()}
    if name in known:
        return name
    presets = [preset for preset in list_choices("model") if preset != "hub"]
    if name in presets and (family := find_preset_family(name)) is not None:
        return family
    problem = f"preset {name} fits no published family" if name in presets else f"unknown family {name!r}"
    others = {preset for preset in presets if "/" not in preset and preset not in known}
    choices = known | {preset for preset in others if find_preset_family(preset) is not None}
    raise Refused(f"{problem}: {suggest(name, choices)}")

"""Kinds of plan, each of which makes arms and their references from what a study lists."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo import limits
from zoo.runs.flat_configs import format_value, shorten_keys
from zoo.study.plan.read_overrides import read_mapping, read_named_overrides, read_overrides
from zoo.study.plan.tasks import Overrides, merge_overrides

BASELINE, FULL = "baseline", "full"


@dataclass(frozen=True)
class Arms:
    """The arms of a study.

    Attributes:
        arms: Overrides of each arm, by name.
        baseline: Arm that others are compared with, unless the study names another.
        against: Reference of an arm, where that is not the baseline.
        factors: Levels of an arm of two factors; an empty text is the level of the baseline.
        axes: Values of an arm that filters may name: those of a grid, or levels of factors.
    """

    arms: Mapping[str, Overrides]
    baseline: str | None = None
    against: Mapping[str, str] = field(default_factory=dict)
    factors: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    axes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def read_arms(given: Any, problems: list[str]) -> Arms:
    """Reads ``arms``: overrides of each arm, by name."""
    found = read_named_overrides(given, "arms", problems)
    return Arms({} if _has_too_many_arms("arms", len(found), problems) else found)


def read_grid(given: Any, problems: list[str]) -> Arms:
    """Reads ``grid``: makes an arm of each combination of the values of some keys, named by these."""
    axes = read_mapping(given, "grid", problems)
    if not axes:
        problems.append("grid: must not be empty")
    read_overrides(axes, "grid", problems)
    keys = {key: key.lstrip("+").replace("/", ".") for key in axes}
    for key, values in axes.items():
        if not isinstance(values, list) or not values:
            problems.append(f"grid.{key}: must be a list of values: got {values!r}")
            axes[key] = []
        elif len({format_value(value) for value in values}) < len(values):
            problems.append(f"grid.{key}: values must differ: got {format_value(values)}")
        if list(keys.values()).count(keys[key]) > 1:
            problems.append(f"grid.{key}: is given twice, once with a slash and once with a dot")
    if _has_too_many_arms("grid", math.prod(len(values) for values in axes.values()), problems):
        return Arms({})
    short = shorten_keys(keys.values())
    names = {key: short[whole] if short[whole] not in RUN_FIELDS else whole for key, whole in keys.items()}
    found: dict[str, Overrides] = {}
    values_of: dict[str, Mapping[str, Any]] = {}
    for chosen in itertools.product(*axes.values()):
        here = dict(zip(axes, chosen, strict=True))
        name = ", ".join(f"{names[key]}={format_value(value)}" for key, value in here.items())
        found[name], values_of[name] = here, {names[key]: value for key, value in here.items()}
    return Arms(found, axes=values_of)


def read_one_at_a_time(given: Any, problems: list[str]) -> Arms:
    """Reads ``one_at_a_time``: makes arms of each part alone, of all parts, and of all but one, compared with all."""
    parts = read_named_overrides(given, "one_at_a_time", problems)
    if 0 < len(parts) < 3:
        why = "one part alone is all parts" if len(parts) == 1 else "two parts are a plan of pairs"
        problems.append(f"one_at_a_time: must have at least three parts, as {why}: got {', '.join(parts)}")
    if _has_too_many_arms("one_at_a_time", 2 + 2 * len(parts), problems):
        return Arms({})
    _check_disjoint(parts, "one_at_a_time", problems)
    found: dict[str, Overrides] = {BASELINE: {}}
    found |= {f"+ {name}": what for name, what in parts.items()}
    found[FULL] = merge_overrides(*parts.values())
    without = {f"{FULL} - {name}": [what for other, what in parts.items() if other != name] for name in parts}
    found |= {name: merge_overrides(*rest) for name, rest in without.items()}
    return Arms(found, BASELINE, dict.fromkeys(without, FULL))


def read_pairs(given: Any, problems: list[str]) -> Arms:
    """Reads ``pairs``: makes arms of each level of two factors alone, and of each combination of two levels."""
    factors = read_mapping(given, "pairs", problems)
    if len(factors) != 2:
        problems.append(f"pairs: must have two factors: got {', '.join(factors) or 'none'}")
        return Arms({})
    levels = {factor: read_named_overrides(what, f"pairs.{factor}", problems) for factor, what in factors.items()}
    if _has_too_many_arms("pairs", math.prod(1 + len(own) for own in levels.values()), problems):
        return Arms({})
    for factor, own in levels.items():
        if BASELINE in own:
            problems.append(
                f"pairs.{factor}.{BASELINE}: must have another name, as this is the level without overrides"
            )
        if factor in RUN_FIELDS:
            problems.append(f"pairs.{factor}: must have another name, as filters use {factor} for something else")
    together = {factor: dict.fromkeys(key for what in own.values() for key in what) for factor, own in levels.items()}
    _check_disjoint(together, "pairs", problems)
    common = Counter(level for own in levels.values() for level in own)
    found: dict[str, Overrides] = {}
    factors_of: dict[str, tuple[str, str]] = {}
    for one, two in itertools.product(*(["", *own] for own in levels.values())):
        chosen = [(factor, level) for factor, level in zip(levels, (one, two), strict=True) if level]
        parts = [level if max(common.values()) == 1 else f"{factor}={level}" for factor, level in chosen]
        name = " + ".join(parts) or BASELINE
        found[name] = merge_overrides(*(levels[factor][level] for factor, level in chosen))
        factors_of[name] = (one, two)
    ordered = sorted(found, key=lambda name: sum(map(bool, factors_of[name])))
    axes = {arm: dict(zip(levels, (level or BASELINE for level in factors_of[arm]), strict=True)) for arm in ordered}
    return Arms({arm: found[arm] for arm in ordered}, BASELINE, {}, {arm: factors_of[arm] for arm in ordered}, axes)


def _has_too_many_arms(path: str, count: int, problems: list[str]) -> bool:
    """True if there are more arms than a study may have, which is appended to the problems."""
    if count > limits.ARMS:
        problems.append(limits.describe_excess(path, "arms", limits.ARMS, count))
    return count > limits.ARMS


def _check_disjoint(parts: Mapping[str, Overrides], path: str, problems: list[str]) -> None:
    """Appends a problem for each key that two parts set, since parts are combined."""
    for (one, first), (two, second) in itertools.combinations(parts.items(), 2):
        for key in (key for key in first if key in second):
            problems.append(f"{path}: {one} and {two} both set {key}: they cannot be combined")


RUN_FIELDS = ("task", "arm", "size", "seed")
"""Names that filters may use for every run."""
READERS: Mapping[str, Callable[[Any, list[str]], Arms]] = {
    "arms": read_arms,
    "grid": read_grid,
    "one_at_a_time": read_one_at_a_time,
    "pairs": read_pairs,
}
"""Function that reads each kind of plan, except for paths, which also need the overrides of the study."""

"""How a study compares: with which seeds, at which learning rates, and with what made equal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo import limits
from zoo.checks import suggest
from zoo.registry.options import Many, Option, Scalar, check_options

UNTIL_DECIDED = "until_decided"
_DEFAULT_MAX_SEEDS, _MIN_MAX_SEEDS = 20, 4
_TUNING_SEEDS = (101,)

QUANTITIES = ("parameters", "active_parameters", "flops_per_token", "train_flops", "cache_bytes")
KNOBS: Mapping[str, str] = {
    "hidden": "model.hidden",
    "heads": "model.heads",
    "kv_heads": "model.attention.kv_heads",
    "depth": "model.layers",
    "experts": "model.ffn.experts",
    "width": "model.dim",
    "steps": "steps",
}
"""Knobs that matching may move, and the config key of each."""


@dataclass(frozen=True)
class Matching:
    """What is made equal to the baseline in every arm, and the one value of a config that may move for it."""

    quantity: str
    knob: str = "hidden"


@dataclass(frozen=True)
class Rates:
    """Learning rates that each arm is tried with, on seeds of their own; its cells then use the best."""

    values: tuple[float, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Seeds:
    """Seeds of a study; with ``until_decided`` the most that may be run."""

    values: tuple[int, ...] = ()
    until_decided: bool = False


def read_seeds(given: Any, most: int | None, problems: list[str]) -> Seeds:
    """A list, a number of them from 1 on, or ``until_decided`` with a maximum."""
    before = len(problems)
    if most is not None and given != UNTIL_DECIDED:
        problems.append(f"max_seeds: goes with seeds: {UNTIL_DECIDED}: got max_seeds={most}")
    if most is not None and most < _MIN_MAX_SEEDS:
        problems.append(f"max_seeds: must be at least {_MIN_MAX_SEEDS}, for fewer decide nothing: got {most}")
    if most is not None and most > limits.SEEDS:
        return Seeds()  # a problem that is known already
    if given == UNTIL_DECIDED:
        return Seeds(tuple(range(1, (most if most is not None else _DEFAULT_MAX_SEEDS) + 1)), True)
    if isinstance(given, int) and not isinstance(given, bool):
        if given < 1:
            problems.append(f"seeds: must be at least one: got {given}")
        elif given > limits.SEEDS:
            problems.append(limits.describe_excess("seeds", "seeds", limits.SEEDS, given))
            return Seeds()
        return Seeds(tuple(range(1, given + 1)))
    if isinstance(given, str) or not isinstance(given, Sequence):
        got = "nothing" if given is None else repr(given)
        problems.append(f"seeds: must be a list of int, how many, or {UNTIL_DECIDED}: got {got}")
        return Seeds()
    if len(given) > limits.SEEDS:
        problems.append(limits.describe_excess("seeds", "seeds", limits.SEEDS, len(given)))
        return Seeds()
    found = tuple(Many(Scalar(int)).check(given, "seeds", problems))
    if len(problems) == before and (not found or len(set(found)) < len(found)):
        problems.append(f"seeds: must be different numbers, at least one: got {list(found)}")
    return Seeds(found)


def read_matching(given: Any, problems: list[str]) -> Matching | None:
    """A quantity, or a mapping of quantity and knob; ``none`` is none."""
    if given is None or given == "none":
        return None
    options = (Option("quantity", Scalar(str)), Option("knob", Scalar(str), "hidden"))
    what = given if isinstance(given, Mapping) else {"quantity": given}
    checked = check_options(options, what, "match", problems)
    for name, choices in (("quantity", [*QUANTITIES, "none"]), ("knob", list(KNOBS))):
        if isinstance(value := checked.get(name), str) and value not in choices:
            problems.append(f"match.{name}: unknown {name} {value!r}: {suggest(value, choices)}")
    if checked.get("quantity") not in QUANTITIES:
        return None
    return Matching(checked["quantity"], checked["knob"])


def read_rates(given: Any, seeds: Sequence[int], problems: list[str]) -> Rates | None:
    """Learning rates to choose from, or a mapping of them and the seeds that serve the choice."""
    if given is None:
        return None
    options = (Option("values", Many(Scalar(float))), Option("seeds", Many(Scalar(int)), _TUNING_SEEDS))
    what = given if isinstance(given, Mapping) else {"values": given}
    before = len(problems)
    checked = check_options(options, what, "learning_rates", problems)
    if len(problems) > before:
        return None
    rates = Rates(tuple(checked["values"]), tuple(checked["seeds"]))
    if len(set(rates.values)) < max(2, len(rates.values)) or min(rates.values) <= 0:
        problems.append(f"learning_rates: must be different and above 0, at least two: got {list(rates.values)}")
    if not rates.seeds or len(set(rates.seeds)) < len(rates.seeds) or set(rates.seeds) & set(seeds):
        told = "must be different, at least one, and none of those that are compared"
        problems.append(f"learning_rates.seeds: {told}: got {list(rates.seeds)}")
    return rates

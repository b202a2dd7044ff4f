"""Controls of a study: seeds, learning rates, and the cost that is made equal."""

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
"""Config key of each knob that matching may change."""


@dataclass(frozen=True)
class Matching:
    """Quantity that is made equal to that of the baseline in every arm, and the knob that changes for it."""

    quantity: str
    knob: str = "hidden"


@dataclass(frozen=True)
class Rates:
    """Learning rates that are tried with each arm, and the seeds that try them; all other runs use the best rate."""

    values: tuple[float, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Seeds:
    """Seeds of a study; with ``until_decided`` those that may be run."""

    values: tuple[int, ...] = ()
    until_decided: bool = False


def read_seeds(given: Any, most: int | None, problems: list[str]) -> Seeds:
    """Reads ``seeds``: a list, the number of seeds from 1 on, or ``until_decided``.

    Args:
        given: Value of ``seeds``.
        most: Value of ``max_seeds``, if given.
        problems: List to which a line is appended for each problem.
    """
    before = len(problems)
    if most is not None and given != UNTIL_DECIDED:
        problems.append(f"max_seeds: requires seeds: {UNTIL_DECIDED}: got max_seeds={most}")
    if most is not None and most < _MIN_MAX_SEEDS:
        problems.append(f"max_seeds: must be at least {_MIN_MAX_SEEDS}, as fewer seeds give no verdict: got {most}")
    if most is not None and most > limits.SEEDS:
        return Seeds()  # reported by the options already
    if given == UNTIL_DECIDED:
        return Seeds(tuple(range(1, (most if most is not None else _DEFAULT_MAX_SEEDS) + 1)), True)
    if isinstance(given, int) and not isinstance(given, bool):
        if given < 1:
            problems.append(f"seeds: must be at least 1: got {given}")
        elif given > limits.SEEDS:
            problems.append(limits.describe_excess("seeds", "seeds", limits.SEEDS, given))
            return Seeds()
        return Seeds(tuple(range(1, given + 1)))
    if isinstance(given, str) or not isinstance(given, Sequence):
        got = "nothing" if given is None else repr(given)
        problems.append(f"seeds: must be a list of int, the number of seeds, or {UNTIL_DECIDED}: got {got}")
        return Seeds()
    if len(given) > limits.SEEDS:
        problems.append(limits.describe_excess("seeds", "seeds", limits.SEEDS, len(given)))
        return Seeds()
    found = tuple(Many(Scalar(int)).check(given, "seeds", problems))
    if len(problems) == before and (not found or len(set(found)) < len(found)):
        problems.append(f"seeds: must be one or more distinct numbers: got {list(found)}")
    return Seeds(found)


def read_matching(given: Any, problems: list[str]) -> Matching | None:
    """Reads ``match``: a quantity, or a mapping of quantity and knob; None for ``none`` and for no value."""
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
    """Reads ``learning_rates``: a list, or a mapping of ``values`` and the ``seeds`` that try them.

    Args:
        given: Value of ``learning_rates``.
        seeds: Seeds of the study, which must be others.
        problems: List to which a line is appended for each problem.
    """
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
        problems.append(f"learning_rates: must be two or more distinct numbers above 0: got {list(rates.values)}")
    if not rates.seeds or len(set(rates.seeds)) < len(rates.seeds) or set(rates.seeds) & set(seeds):
        rule = "must be one or more distinct seeds, none of which is a seed of the study"
        problems.append(f"learning_rates.seeds: {rule}: got {list(rates.seeds)}")
    return rates

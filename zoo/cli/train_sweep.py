"""The runs of ``zoo train -m``, expanded and checked before the first one is trained."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from hydra.core.override_parser.types import Glob, Override

from zoo import limits
from zoo.checks import Refused, suggest
from zoo.config.checking import check_run
from zoo.config.compose import compose_run
from zoo.config.groups import list_choices
from zoo.config.overrides import list_sweep_values, parse_word


def expand_sweep(words: Sequence[str]) -> list[list[str]]:
    """Expands the overrides of a sweep into those of each run, the last one varying fastest.

    Args:
        words: overrides, of which those with several values are swept; of two for one key the later counts.

    Raises:
        Refused: with every override that cannot be read or listed, and for more runs than ``limits.SWEEP``.
    """
    values: dict[str, list[str]] = {}
    problems = []
    for word in words:
        try:
            override = parse_word(word)
            key = override.get_key_element()
            if not override.is_sweep_override():
                values[key] = [_whole(key, override.get_value_element_as_str())]
            elif override.is_discrete_sweep():
                values[key] = [f"{key}={value}" for value in _values(override)]
            else:
                raise Refused(f"{key}: must be a list of values in a sweep, as a=1,2 or range(1,3): got {word}")
        except Refused as error:
            problems += str(error).splitlines()
    if (count := math.prod(map(len, values.values()))) > limits.SWEEP:
        problems.append(limits.describe_excess("-m", "runs", limits.SWEEP, count))
    if problems:
        raise Refused("\n".join(problems))
    return [list(run) for run in itertools.product(*values.values())]


def _values(override: Override) -> list[str]:
    pattern = override.value()
    if not isinstance(pattern, Glob):
        return list_sweep_values(override)
    names = [name for name in list_choices(override.key_or_group) if "/" not in name]
    if not (found := pattern.filter(names)):
        raise Refused(f"{override.key_or_group}: nothing matches: got {override.input_line}: {suggest('', names)}")
    return [str(name) for name in found]


def _whole(key: str, value: str) -> str:
    return key if key.startswith("~") and value in ("", "null") else f"{key}={value}"


def describe_differences(runs: Sequence[Sequence[str]]) -> list[str]:
    """Returns a name for each run of a sweep: those of its overrides that not all runs have."""
    common = set.intersection(*map(set, runs)) if runs else set()
    return [" ".join(word for word in run if word not in common) for run in runs]


def require_sound(runs: Sequence[Sequence[str]]) -> None:
    """Composes and checks every run.

    Raises:
        Refused: with every problem once; one that not all runs have comes with what sets the first such run apart.
    """
    found: dict[str, list[str]] = {}
    names = describe_differences(runs)
    for name, run in zip(names, runs, strict=True):
        try:
            problems = check_run(compose_run(run)).problems
        except Refused as error:
            problems = tuple(str(error).splitlines())
        for problem in problems:
            found.setdefault(problem, []).append(name)
    if found:
        raise Refused("\n".join(_named(problem, those, len(runs)) for problem, those in found.items()))


def _named(problem: str, those: Sequence[str], runs: int) -> str:
    if len(those) == runs:
        return problem
    more = f" and {len(those) - 1} more" if len(those) > 1 else ""
    return f"{those[0]}{more}: {problem}"

"""The words of a command line: overrides, flags, and what belongs to Hydra alone."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.checks import Refused

_FLAGS_WITH_VALUES = frozenset(
    (
        "-c",
        "--cfg",
        "-i",
        "--info",
        "-p",
        "--package",
        "-cp",
        "--config-path",
        "-cn",
        "--config-name",
        "-cd",
        "--config-dir",
    )
)
"""Hydra's flags whose next word is not an override."""


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether there is a flag of that name."""
    return bool({"-h", "--help"} & set(arguments))


def overrides_of(arguments: Sequence[str]) -> list[str]:
    """The arguments that are neither Hydra's flags nor their values."""
    before = ["", *arguments]
    return [
        argument
        for flag, argument in zip(before, arguments, strict=False)
        if not argument.startswith("-") and flag not in _FLAGS_WITH_VALUES
    ]


def is_hydras(override: str) -> bool:
    """Whether it is about Hydra and not about a run."""
    return override.lstrip("+~").startswith(("hydra.", "hydra/"))


def without_hydra(overrides: Sequence[str]) -> list[str]:
    """Overrides that are about runs."""
    return [line for line in overrides if not is_hydras(line)]


def refuse_unknown(overrides: Sequence[str]) -> None:
    """Refuse what Hydra could not apply, all of it at once."""
    from zoo.config import override_problems

    if problems := override_problems(overrides):
        raise Refused("\n".join(problems.values()))


def take_values(arguments: Sequence[str], flag: str) -> tuple[list[str], list[str]]:
    """The arguments without ``flag VALUE`` and ``flag=VALUE``, and the values.

    Raises:
        Refused: if the flag stands last.
    """
    rest, values = [], []
    left = iter(arguments)
    for word in left:
        if word == flag:
            value = next(left, None)
            if value is None:
                raise Refused(f"{flag} must be given a value")
            values.append(value)
        elif word.startswith(f"{flag}="):
            values.append(word.partition("=")[2])
        else:
            rest.append(word)
    return rest, values

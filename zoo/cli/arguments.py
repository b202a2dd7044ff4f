"""The words of a command line: overrides, flags, and what belongs to Hydra alone."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.checks import Refused, suggest

HYDRA_FLAGS = (
    *("-h", "--help", "--hydra-help", "-m", "--multirun", "-r", "--run", "--resolve"),
    *("-c", "--cfg", "-i", "--info", "-p", "--package"),
    *("-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir"),
)
"""Flags that are handed to Hydra; not --experimental-rerun, which unpickles a file."""
_FLAGS_WITH_VALUES = frozenset(HYDRA_FLAGS[HYDRA_FLAGS.index("-c") :])
"""Those whose next word is not an override."""
_CFG = ("job", "hydra", "all")


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


def hydra_words(arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra's parser takes them: flags with their values first, then overrides, quoted where needed.

    Raises:
        Refused: for a flag that there is none of, or one without its value.
    """
    from zoo.config.overrides import readable

    require_flags(arguments, HYDRA_FLAGS)
    flags: list[str] = []
    overrides: list[str] = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        own = word.startswith("-") or before in _FLAGS_WITH_VALUES
        (flags if own else overrides).append(word if own or is_hydras(word) else readable(word))
    for flag, value in zip(flags, [*flags[1:], ""], strict=False):
        if flag in _FLAGS_WITH_VALUES and flag not in ("-i", "--info") and (not value or value.startswith("-")):
            raise Refused(f"{flag}: must be given a value")
        if flag in ("-c", "--cfg") and value not in _CFG:
            raise Refused(f"{flag}: unknown choice {value!r}: {suggest(value, _CFG)}")
    return [*flags, *overrides]


def require_flags(arguments: Sequence[str], known: Sequence[str]) -> None:
    """Refuse words that begin as flags do, and are none of those that a command has."""
    wrong = [word for word in arguments if word.startswith("-") and word.partition("=")[0] not in known]
    if wrong:
        raise Refused("\n".join(f"unknown flag {word!r}: {suggest(word, known)}" for word in wrong))


def is_hydras(override: str) -> bool:
    """Whether it is about Hydra and not about a run."""
    return override.lstrip("+~").startswith(("hydra.", "hydra/"))


def without_hydra(overrides: Sequence[str]) -> list[str]:
    """Overrides that are about runs."""
    return [line for line in overrides if not is_hydras(line)]


def refuse_unknown(overrides: Sequence[str]) -> None:
    """Refuse what Hydra could not apply, all of it at once."""
    from zoo.config.compose import override_problems

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

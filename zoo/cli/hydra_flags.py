"""Flags and overrides that are Hydra's: handed on, once what they say is known to make sense."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo.cli.parser import Parser
from zoo.config.hydra_overrides import is_for_hydra

_SWITCH: dict[str, Any] = {"nargs": 0}
_CFG = ("job", "hydra", "all")
_INFO = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")


def _value(placeholder: str, help: str, **more: Any) -> dict[str, Any]:
    return {"metavar": placeholder, "help": help, **more}


_SWEEP = ((("-m", "--multirun"), {**_SWITCH, "help": "train every combination of the values separated by commas"}, ()),)
_FLAGS = (
    (("-c", "--cfg"), _value("PART", "print the config instead of training: job, hydra or all"), _CFG),
    (("--resolve",), {**_SWITCH, "help": "with --cfg: resolve interpolations"}, ()),
    (("-p", "--package"), _value("KEY", "with --cfg: print only the config under this key"), ()),
    (
        ("-i", "--info"),
        _value("WHAT", f"print information about Hydra: {', '.join(_INFO)}", nargs="?", const="all"),
        _INFO,
    ),
    (("-r", "--run"), {**_SWITCH, "help": "run a single job, which is the default"}, ()),
    (("-cp", "--config-path"), _value("FOLDER", "read configs from this folder instead of zoo's"), ()),
    (("-cn", "--config-name"), _value("NAME", "compose this config instead of train"), ()),
    (("-cd", "--config-dir"), _value("FOLDER", "search this folder for configs as well"), ()),
    (("--hydra-help",), {**_SWITCH, "help": "print Hydra's own help"}, ()),
)
"""Not --experimental-rerun, which unpickles a file, nor Hydra's own completion."""


def add_hydra_flags(parser: Parser, *, sweeps: bool) -> None:
    """Adds the flags that are handed to Hydra; ``-m`` only where ``sweeps`` is true."""
    parser.add_forwarded("flags of Hydra", (*(_SWEEP if sweeps else ()), *_FLAGS))


def build_hydra_command(flags: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Returns the command line of Hydra's own parser: flags first, then overrides, quoted where needed."""
    from zoo.config.overrides import quote_if_needed

    return [*flags, *(word if is_for_hydra(word) else quote_if_needed(word) for word in overrides)]

"""How large numbers, lists, names and files may be: far above what anyone trains, far below what never ends.

A value beyond its limit is refused by name, with the limit, before anything is made of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

INTEGER: Final = 2**31 - 1
"""The largest absolute value of an integer option that ``OPTIONS`` does not name."""
OPTIONS: Final[Mapping[str, int]] = {
    # the model, wherever the option stands: stack, exception, component
    "layers": 4_096,
    "distinct_layers": 4_096,
    "dim": 2**20,
    "heads": 2**16,
    "head_dim": 2**20,
    "hidden": 2**24,
    "vocabulary": 2**26,
    "length": 2**24,
    "experts": 2**16,
    # the run
    "seed": 2**63 - 1,
    "steps": 10**12,
    "batch": 2**24,
    "accumulate": 2**24,
    "threads": 4_096,
    "devices": 4_096,
    "num_nodes": 4_096,
    # the study
    "max_seeds": 1_000,
}
"""The largest value of an option, by its name."""
ITEMS: Final = 10_000
"""Items of a list that an option takes."""
SEEDS: Final = 1_000
"""Seeds of a study, given as a list or as a number."""
ARMS: Final = 2_000
"""Arms of a study, those of a grid before filters included."""
SETTINGS: Final = 5_000
"""Arms times tasks of a study, each of which is composed and checked before the first run."""
CELLS: Final = 100_000
"""Runs of a study: settings times seeds, and tries of learning rates."""
FILTERS: Final = 100
"""Lines of ``where`` in a study."""
SWEEP: Final = 2_000
"""Runs of ``zoo train -m``."""
WORD: Final = 20_000
"""Characters of one word on the command line."""
NAME_BYTES: Final = 200
"""UTF-8 bytes of a name that becomes a folder; file systems take 255, and endings are added to it."""
PATH_BYTES: Final = 3_000
"""Of a path that files are written below; Linux takes 4,096 with theirs."""
YAML_BYTES: Final = 2**20
"""Of a ``study.yaml`` or ``config.yaml``."""
JSON_BYTES: Final = 2**28
"""Of a JSON file; a large ``tokenizer.json`` has 2**25."""
NODES: Final = 100_000
"""Values in a YAML file, every alias counted as what it stands for."""


def over_limit(name: str, value: Any, path: str) -> Iterator[str]:
    """Yield a problem for an integer beyond the limit of option ``name``, the first such in a list, or a list too long.

    Args:
        name: of the option.
        value: an int, or a list that may hold some; anything else has no limit here.
        path: the dotted config path that a problem names.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        most = OPTIONS.get(name, INTEGER)
        if abs(value) > most:
            yield f"{path}: must be at most {most}: got {brief(value)}"
    elif isinstance(value, list):
        if len(value) > ITEMS:
            yield f"{path}: must have at most {ITEMS} items: got {len(value)}"
        else:
            items = (over_limit(name, item, f"{path}[{number}]") for number, item in enumerate(value))
            yield from itertools.islice(itertools.chain.from_iterable(items), 1)


def over_count(path: str, what: str, most: int, got: int) -> str:
    """The problem of a number of things beyond its limit."""
    return f"{path}: must be at most {most} {what}: got {got}"


def brief(value: object, most: int = 80) -> str:
    """``repr`` of a value for a message, cut where it is long."""
    if isinstance(value, int) and value.bit_length() > 4 * most:  # Python refuses to print very long integers
        return f"an integer of {value.bit_length()} bits"
    return cut(repr(value), most)


def cut(text: str, most: int = 200) -> str:
    """A text for a message, cut where it is long."""
    return text if len(text) <= most else f"{text[: most - 1]}…"

"""Upper limits of numbers, lists, names and files: far above any real training, low enough to fail fast on a typo.

A value beyond its limit is reported by name, together with the limit, before anything is allocated.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

INTEGER: Final = 2**31 - 1
"""Largest absolute value of an integer option that is not listed in ``OPTIONS``."""
OPTIONS: Final[Mapping[str, int]] = {
    # the model, wherever the option occurs: in a stack, an exception or a component
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
"""Largest value of an option, by name."""
ITEMS: Final = 10_000
"""Items in a list that is the value of an option."""
SEEDS: Final = 1_000
"""Seeds in a study, given as a list or as a number."""
ARMS: Final = 2_000
"""Arms in a study, including those of a grid that filters then remove."""
SETTINGS: Final = 5_000
"""Arms times tasks in a study; each combination is composed and checked before the first run."""
CELLS: Final = 100_000
"""Runs in a study: settings times seeds, plus the runs of learning rate searches."""
FILTERS: Final = 100
"""Conditions under ``where`` in a study."""
SWEEP: Final = 2_000
"""Runs in one ``zoo train -m``."""
WORD: Final = 20_000
"""Characters in one argument on the command line."""
NAME_BYTES: Final = 200
"""UTF-8 bytes in the name of a folder; file systems allow 255, and suffixes are appended to it."""
PATH_BYTES: Final = 3_000
"""UTF-8 bytes in the path of a folder that files are written to; Linux allows 4,096 including the file names."""
YAML_BYTES: Final = 2**20
"""Bytes in a ``study.yaml`` or ``config.yaml``."""
JSON_BYTES: Final = 2**28
"""Bytes in a JSON file; a large ``tokenizer.json`` has 2**25."""
NODES: Final = 100_000
"""Values in a YAML file with all aliases expanded."""


def check_limit(name: str, value: Any, path: str) -> Iterator[str]:
    """Yields a problem if the value of option ``name`` exceeds its limit: an integer too large or a list too long.

    Args:
        name: Name of the option.
        value: An int, or a list that may contain ints, of which only the first problem is yielded. Other types have
            no limit here.
        path: Dotted config path that the problem begins with.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        most = OPTIONS.get(name, INTEGER)
        if abs(value) > most:
            yield f"{path}: must be at most {most}: got {truncate_repr(value)}"
    elif isinstance(value, list):
        if len(value) > ITEMS:
            yield f"{path}: must have at most {ITEMS} items: got {len(value)}"
        else:
            items = (check_limit(name, item, f"{path}[{number}]") for number, item in enumerate(value))
            yield from itertools.islice(itertools.chain.from_iterable(items), 1)


def describe_excess(path: str, what: str, most: int, got: int) -> str:
    """Returns the problem that ``got``, a number of ``what``, exceeds the limit ``most``."""
    return f"{path}: must be at most {most} {what}: got {got}"


def truncate_repr(value: object, most: int = 80) -> str:
    """Returns the ``repr`` of a value for a message, truncated to ``most`` characters."""
    if isinstance(value, int) and value.bit_length() > 4 * most:  # Python refuses to print very long integers
        return f"an integer of {value.bit_length()} bits"
    return truncate(repr(value), most)


def truncate(text: str, most: int = 200) -> str:
    """Returns a text for a message, truncated to ``most`` characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"

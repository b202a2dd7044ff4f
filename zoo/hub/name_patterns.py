"""Patterns of tensor names: ``{layer}`` and other placeholders stand for numbers, a final ``*`` for weight or bias."""

from __future__ import annotations

import re
from collections.abc import Mapping

Numbers = Mapping[str, str]
"""Values of the placeholders of a pattern."""


def fill_pattern(pattern: str, numbers: Numbers) -> str:
    """Fills the placeholders of a pattern."""
    star = numbers.get("star", "")
    return re.sub(r"\{(\w+)\}", lambda found: numbers[found[1]], pattern).replace("*", star)


def match_pattern(pattern: str, name: str) -> Numbers | None:
    """Matches a name with a pattern; returns the values of the placeholders, or None."""
    parts = re.split(r"(\{\w+\}|\*)", pattern)
    regexes = [
        r"(?P<star>weight|bias)" if part == "*" else rf"(?P<{part[1:-1]}>\d+)" if part[:1] == "{" else re.escape(part)
        for part in parts
    ]
    found = re.fullmatch("".join(regexes), name)
    return None if found is None else found.groupdict()

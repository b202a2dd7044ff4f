"""Sorting."""

from __future__ import annotations

from typing import final

from zoo.components.data._random_strings import SymbolStrings
from zoo.registry import register


@final
@register("data", "sort", paper="arXiv:2106.06981")
class Sort(SymbolStrings):
    """Sort the symbols of a string: 3a07 -> 037a.

    Unlike in ``copy`` and ``reverse``, the answer does not depend on the order of the source, so that a source without
    position encoding loses no information. A fixed number of layers is enough for any length, as a RASP program shows
    (arXiv:2106.06981).

    Source: Weiss et al. 2021.
    """

    def answer(self, text: str) -> str:
        """Returns the symbols in Unicode order: digits, uppercase letters, lowercase letters."""
        return "".join(sorted(text))

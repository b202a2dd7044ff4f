"""Copying."""

from __future__ import annotations

from typing import final

from zoo.components.data._random_strings import SymbolStrings
from zoo.registry import register


@final
@register("data", "copy", paper="arXiv:2402.01032")
class Copy(SymbolStrings):
    """Repeat a string: 3a07 -> 3a07.

    Two layers of attention can copy strings whose length is exponential in the size of the model. A model with a state
    of fixed size, such as linear attention, can copy no more than fits into that state (arXiv:2402.01032). Whether
    copying generalizes to strings longer than those in training depends on whether symbols repeat (arXiv:2310.16028).

    Source: Jelassi et al. 2024.
    """

    def answer(self, text: str) -> str:
        """Returns the string."""
        return text

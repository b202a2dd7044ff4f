"""Reversal."""

from __future__ import annotations

from typing import final

from zoo.components.data._random_strings import SymbolStrings
from zoo.registry import register


@final
@register("data", "reverse", paper="arXiv:2106.06981")
class Reverse(SymbolStrings):
    """Reverse a string: 3a07 -> 70a3.

    An encoder without position encoding is permutation equivariant (arXiv:1912.10077): it can tell which symbols occur
    but not where, so it predicts the same at all masked places of the target. A decoder without position encoding is
    not, because the causal mask conveys positions (arXiv:2203.16634).

    Source: Weiss et al. 2021.
    """

    def answer(self, text: str) -> str:
        """Returns the string in reverse order."""
        return text[::-1]

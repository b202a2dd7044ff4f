"""Training in bfloat16 throughout."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.plugins import HalfPrecision


class TrueBfloat16(HalfPrecision):
    """Lightning's bf16-true for batches that are views: they hold tokens, and nothing in them is to be converted."""

    def __init__(self) -> None:
        super().__init__("bf16-true")

    def convert_input(self, data: Any) -> Any:
        """The batch as it is."""
        return data

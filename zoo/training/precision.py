"""Training in pure bfloat16."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.plugins import HalfPrecision


class TrueBfloat16(HalfPrecision):
    """Lightning's ``bf16-true`` without conversion of batches, which hold tokens and masks."""

    def __init__(self) -> None:
        super().__init__("bf16-true")

    def convert_input(self, data: Any) -> Any:
        """Returns the batch unchanged."""
        return data

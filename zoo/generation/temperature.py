"""Temperature scaling of logits."""

from __future__ import annotations

from torch import Tensor


def apply_temperature(logits: Tensor, value: float) -> Tensor:
    """Divides logits by a temperature: below 1 sharpens the distribution, above 1 flattens it (Ackley et al. 1985).

    Args:
        logits: ``[…, vocabulary]``.
        value: positive.
    """
    return logits / value

"""Temperature: how much likelier tokens are preferred."""

from __future__ import annotations

from torch import Tensor


def temperature(logits: Tensor, value: float) -> Tensor:
    """``logits / value``: below 1 the likelier tokens gain, above 1 the others (Ackley et al. 1985).

    Args:
        logits: ``[…, vocabulary]``.
        value: positive.
    """
    return logits / value

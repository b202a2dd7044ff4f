"""Top-p: the likeliest tokens that together are likely enough."""

from __future__ import annotations

import math

from torch import Tensor


def top_p(logits: Tensor, share: float) -> Tensor:
    """-inf for all but the fewest likeliest tokens whose probabilities add up to ``share`` (arXiv:1904.09751).

    Args:
        logits: ``[…, vocabulary]``.
        share: above 0, at most 1; the likeliest token always stays.
    """
    ordered, place = logits.sort(dim=-1, descending=True, stable=True)
    likelihood = ordered.softmax(dim=-1)
    likelier = likelihood.cumsum(dim=-1) - likelihood  # the sum of those before it
    out = likelier >= share
    out[..., 0] = False
    return logits.masked_fill(out.scatter(-1, place, out), -math.inf)

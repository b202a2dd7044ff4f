"""Top-p (nucleus) filtering of logits."""

from __future__ import annotations

import math

from torch import Tensor


def keep_top_p(logits: Tensor, share: float) -> Tensor:
    """Keeps the smallest set of likeliest tokens whose probabilities sum to ``share``; sets others to -inf.

    Args:
        logits: ``[…, vocabulary]``.
        share: above 0, at most 1; the likeliest token is always kept.
    Source: Holtzman et al. 2020, arXiv:1904.09751.
    """
    ordered, place = logits.sort(dim=-1, descending=True, stable=True)
    likelihood = ordered.softmax(dim=-1)
    likelier = likelihood.cumsum(dim=-1) - likelihood  # probability of all likelier tokens
    out = likelier >= share
    out[..., 0] = False
    return logits.masked_fill(out.scatter(-1, place, out), -math.inf)

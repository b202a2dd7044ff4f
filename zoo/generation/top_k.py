"""Top-k: only the likeliest tokens."""

from __future__ import annotations

import math

from torch import Tensor


def top_k(logits: Tensor, count: int) -> Tensor:
    """-inf for all but the ``count`` likeliest tokens; those as likely as the last of them stay (arXiv:1805.04833).

    Args:
        logits: ``[…, vocabulary]``.
        count: positive; more than there are tokens is all.
    """
    last = logits.topk(min(count, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < last, -math.inf)

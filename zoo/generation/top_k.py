"""Top-k filtering of logits."""

from __future__ import annotations

import math

from torch import Tensor


def keep_top_k(logits: Tensor, count: int) -> Tensor:
    """Sets all but the ``count`` largest logits to -inf; ties with the last of them are kept (arXiv:1805.04833).

    Args:
        logits: ``[…, vocabulary]``.
        count: positive; keeps all if larger than the vocabulary.
    """
    last = logits.topk(min(count, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < last, -math.inf)

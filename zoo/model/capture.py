"""Capture of attention weights: what each query takes from each key.

Nothing is computed or kept unless a :func:`capture` is under way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class AttentionRecord:
    """Weights of one call of an attention, and the scores that they come from.

    Args:
        weights: weights of the values ``[batch, heads, query, key]``. Those of a softmax are not negative, and a row
            sums to 1, or to less if it has a sink; those of a linear mixer are the coefficients of its unrolled form.
        products: q · k before any scale ``[batch, heads, query, key]``; None in a mixer without such products.
        scores: what the softmax is taken of, after scale, soft-cap and bias ``[batch or 1, heads, query, key]``; hidden
            keys included. None without a softmax.
        visible: True where the mask lets a query see a key, ``[batch or 1, heads or 1, query, key]``; None without a
            softmax.
        scale: factor of ``products``.
    """

    weights: Tensor
    products: Tensor | None = None
    scores: Tensor | None = None
    visible: Tensor | None = None
    scale: float = 1.0


@dataclass
class _State:
    """The captures under way, innermost last, and the blocks that ask for the plain path."""

    captures: list[list[AttentionRecord]] = field(default_factory=list)
    plain: int = 0


_state = _State()  # a plain object, since a context variable would break the graph of torch.compile


@contextmanager
def capture() -> Iterator[list[AttentionRecord]]:
    """Collects a record of every attention in the block, which computes without fused kernels.

    Yields:
        the records, in the order of the calls; a caller may empty the list to save memory.
    """
    records: list[AttentionRecord] = []
    _state.captures.append(records)
    try:
        yield records
    finally:
        _state.captures.pop()


@contextmanager
def avoid_fused_kernels() -> Iterator[None]:
    """Computes every attention in the block by plain matrix products, which can be counted."""
    _state.plain += 1
    try:
        yield
    finally:
        _state.plain -= 1


def is_fused_kernel_allowed() -> bool:
    """True unless attention weights are captured or plain products are asked for."""
    return not _state.captures and not _state.plain


def record_attention(make: Callable[[], AttentionRecord]) -> None:
    """Adds a record, detached, to the innermost capture; without one, ``make`` is not called."""
    if _state.captures:
        with torch.no_grad():
            record = make()
        tensors: dict[str, Any] = {name: x.detach() for name, x in vars(record).items() if isinstance(x, Tensor)}
        _state.captures[-1].append(replace(record, **tensors))

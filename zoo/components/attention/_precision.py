"""Precision of recurrences: sums over a whole row are not computed in half precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def upcast(x: Tensor) -> Tensor:
    """Converts ``x`` to float32; float64 is kept."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def disable_autocast(x: Tensor) -> AbstractContextManager[object]:
    """Returns a context that disables autocast on the device of ``x``."""
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)

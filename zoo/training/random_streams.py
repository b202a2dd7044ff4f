"""Separate random streams from one seed, so that arms of a study can be paired.

Weights, data order, the objective's choices and dropout each have a stream of their own, and what a stream gives at a
step depends on the step alone. So a run that was resumed sees what an undisturbed one sees.
"""

from __future__ import annotations

import hashlib

import torch


def stream(seed: int, name: str, *numbers: int) -> int:
    """A seed for one use: 63 bits that depend on all arguments."""
    text = ":".join([str(seed), name, *map(str, numbers)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, name: str, *numbers: int) -> torch.Generator:
    """A CPU generator for one use."""
    return torch.Generator().manual_seed(stream(seed, name, *numbers))

"""Independent random streams derived from one seed, so that arms of a study can be paired by seed.

Weights, data order, objective and dropout have separate streams, and the numbers at a step depend only on the step. A
resumed run therefore draws the same numbers as an uninterrupted one.
"""

from __future__ import annotations

import hashlib

import torch


def derive_seed(seed: int, name: str, *numbers: int) -> int:
    """Derives a 63-bit seed from a seed, the name of a stream and numbers such as the step.

    Args:
        seed: seed of the run.
        name: name of the stream.
        numbers: position in the stream.
    """
    # a cryptographic hash decorrelates neighboring seeds and steps, unlike sums of them
    text = ":".join([str(seed), name, *map(str, numbers)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def make_generator(seed: int, name: str, *numbers: int) -> torch.Generator:
    """Makes a CPU generator seeded by :func:`derive_seed`."""
    return torch.Generator().manual_seed(derive_seed(seed, name, *numbers))

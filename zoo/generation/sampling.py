"""Sampling of the next token, with an independent random stream for each row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.checks import Refused
from zoo.generation.temperature import apply_temperature
from zoo.generation.top_k import keep_top_k
from zoo.generation.top_p import keep_top_p

Choose = Callable[[Tensor], Tensor]
"""Function from logits ``[batch, vocabulary]`` to next tokens ``[batch]``."""


@dataclass(frozen=True)
class Sampling:
    """Sampling parameters; applied in the order temperature, top-k, top-p.

    Args:
        temperature: positive number that divides the logits.
        top_k: number of likeliest tokens to sample from; None for all.
        top_p: total probability of the likeliest tokens to sample from; None for all.
        seed: seed of the first sample of a prompt; sample ``i`` uses ``seed + i``.
    Raises:
        Refused: with all parameters that are out of range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = []
        if not 0 < self.temperature < float("inf"):
            wrong.append(f"temperature: must be positive (use greedy decoding for 0): got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            wrong.append(f"top_k: must be positive: got {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            wrong.append(f"top_p: must be above 0 and at most 1: got {self.top_p}")
        if not 0 <= self.seed < 2**63:
            wrong.append(f"seed: must be at least 0 and below 2^63: got {self.seed}")
        if wrong:
            raise Refused("\n".join(wrong))

    def compute_probabilities(self, logits: Tensor) -> Tensor:
        """Computes sampling probabilities in float64 from logits ``[…, vocabulary]``."""
        logits = apply_temperature(logits.double(), self.temperature)
        if self.top_k is not None:
            logits = keep_top_k(logits, self.top_k)
        if self.top_p is not None:
            logits = keep_top_p(logits, self.top_p)
        return logits.softmax(dim=-1)

    def make_sampler(self, samples: Sequence[int]) -> Choose:
        """Makes a function that samples the next tokens; no row depends on another.

        Args:
            samples: number of the sample that each row is, among those of its prompt.
        """
        streams = [torch.Generator().manual_seed(self.seed + sample) for sample in samples]
        return lambda logits: draw(self.compute_probabilities(logits), streams)


def draw(probabilities: Tensor, streams: Sequence[torch.Generator]) -> Tensor:
    """Draws one token for each row by inverse transform sampling.

    Args:
        probabilities: ``[batch, vocabulary]``, float64.
        streams: a generator for each row; each draws one number.
    """
    uniform = torch.stack([torch.rand((), generator=stream, dtype=torch.float64) for stream in streams])
    total = probabilities.cumsum(dim=-1)
    below = total[:, -1].nextafter(
        torch.zeros_like(total[:, -1])
    )  # keeps rounding from selecting an index beyond the last token
    reached = torch.minimum(uniform.to(total.device) * total[:, -1], below)
    return (total > reached[:, None]).long().argmax(dim=-1)

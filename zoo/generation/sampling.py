"""Sampling: the next token is drawn, in each row from a stream of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.checks import Refused
from zoo.generation.temperature import temperature
from zoo.generation.top_k import top_k
from zoo.generation.top_p import top_p

Choose = Callable[[Tensor], Tensor]
"""Logits ``[batch, vocabulary]`` to the tokens that come next ``[batch]``."""


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn: temperature first, then top-k, then top-p.

    Args:
        temperature: logits are divided by it.
        top_k: how many of the likeliest tokens may be drawn; None is all.
        top_p: the likeliest tokens may be drawn whose probabilities add up to this; None is all.
        seed: of the first sample of a prompt; those that follow have the seeds that follow.
    Raises:
        Refused: for all values that make no sense.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = []
        if not 0 < self.temperature < float("inf"):
            wrong.append(f"temperature: must be positive, and greedy is its limit at 0: got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            wrong.append(f"top_k: must be positive: got {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            wrong.append(f"top_p: must be above 0 and at most 1: got {self.top_p}")
        if not 0 <= self.seed < 2**63:
            wrong.append(f"seed: must be at least 0 and below 2^63: got {self.seed}")
        if wrong:
            raise Refused("\n".join(wrong))

    def probabilities(self, logits: Tensor) -> Tensor:
        """With which tokens are drawn: float64, as ``logits`` ``[…, vocabulary]``."""
        logits = temperature(logits.double(), self.temperature)
        if self.top_k is not None:
            logits = top_k(logits, self.top_k)
        if self.top_p is not None:
            logits = top_p(logits, self.top_p)
        return logits.softmax(dim=-1)

    def choose(self, samples: Sequence[int]) -> Choose:
        """Draws for rows that are these samples of their prompts: what a row draws depends on no other row."""
        streams = [torch.Generator().manual_seed(self.seed + sample) for sample in samples]
        return lambda logits: draw(self.probabilities(logits), streams)


def draw(probabilities: Tensor, streams: Sequence[torch.Generator]) -> Tensor:
    """One token of each row: the first up to which probabilities add up to more than a uniform number.

    Args:
        probabilities: ``[batch, vocabulary]``, float64.
        streams: one for each row; each gives one number.
    """
    uniform = torch.stack([torch.rand((), generator=stream, dtype=torch.float64) for stream in streams])
    total = probabilities.cumsum(dim=-1)
    below = total[:, -1].nextafter(torch.zeros_like(total[:, -1]))  # rounding must not lead past the last token
    reached = torch.minimum(uniform.to(total.device) * total[:, -1], below)
    return (total > reached[:, None]).long().argmax(dim=-1)

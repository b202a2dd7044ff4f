"""What is known of a metric from its name: which way is better, and how to write it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Goal = Literal["lower", "higher"]

_LOWER = ("loss", "perplexity", "nll", "bits_per_byte", "error")
_HIGHER = ("accuracy", "match", "bleu", "f1", "per_second", "bits_per_parameter")
_PERCENT = ("accuracy", "match")
_LABELS = {"target_nll": "target NLL", "bleu": "BLEU"}


@dataclass(frozen=True)
class Metric:
    """A number that runs report. ``goal`` is None where the name does not tell which way is better."""

    name: str
    goal: Goal | None
    label: str
    percent: bool = False

    @classmethod
    def named(cls, name: str) -> Metric:
        """The metric of that name: the end of the name tells its goal and whether it is a share of one."""
        goal: Goal | None = "lower" if name.endswith(_LOWER) else "higher" if name.endswith(_HIGHER) else None
        return cls(name, goal, _LABELS.get(name, name.replace("_", " ")), name.endswith(_PERCENT))

    def better(self, value: float, other: float) -> bool:
        """Whether ``value`` is strictly better than ``other``; false where no goal is known."""
        return (value < other) if self.goal == "lower" else (value > other) if self.goal == "higher" else False

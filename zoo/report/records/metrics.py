"""Metrics by name: direction, bounds and format."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Goal = Literal["lower", "higher"]
Bounds = tuple[float, float]

SENSITIVE_METRICS = ("target_nll", "bits_per_byte", "loss", "perplexity")
"""Continuous metrics, in order of preference: a share such as accuracy changes only when an answer flips."""

_BLEU = {"bleu": "BLEU", **{f"bleu_{words}": f"BLEU ({words})" for words in ("13a", "intl", "zh", "char")}}
_LABELS = {"target_nll": "target NLL", "chrf": "chrF", **_BLEU}
_ANY: Bounds = (-math.inf, math.inf)


@dataclass(frozen=True)
class _Kind:
    """Properties of all metrics whose names have one of these endings."""

    endings: tuple[str, ...]
    goal: Goal
    bounds: Bounds
    percent: bool = False


_KINDS = (
    _Kind(("accuracy", "match"), "higher", (0.0, 1.0), percent=True),
    _Kind((*_BLEU, "chrf", "f1"), "higher", (0.0, 1.0)),
    _Kind(("loss", "nll", "bits_per_byte", "error"), "lower", (0.0, math.inf)),
    _Kind(("perplexity",), "lower", (1.0, math.inf)),
    _Kind(("per_second", "bits_per_parameter"), "higher", (0.0, math.inf)),
)


@dataclass(frozen=True)
class Metric:
    """A metric that runs report.

    Attributes:
        name: key in ``result.json``.
        goal: whether lower or higher is better; None if the name does not tell.
        label: name in reports.
        percent: True for a share from 0 to 1, which reports give in percent.
        bounds: smallest and largest possible value.
    """

    name: str
    goal: Goal | None
    label: str
    percent: bool = False
    bounds: Bounds = _ANY

    @classmethod
    def from_name(cls, name: str) -> Metric:
        """Returns the metric of that name, whose ending determines its properties."""
        label = _LABELS.get(name, name.replace("_", " "))
        kind = next((kind for kind in _KINDS if name.endswith(kind.endings)), None)
        return cls(name, None, label) if kind is None else cls(name, kind.goal, label, kind.percent, kind.bounds)

    def is_better(self, value: float, other: float) -> bool:
        """True if ``value`` is strictly better than ``other``; False if the goal is not known."""
        return (value < other) if self.goal == "lower" else (value > other) if self.goal == "higher" else False

"""What is known of a metric from its name: its kind, which way is better, its bounds, and how to write it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Goal = Literal["lower", "higher"]
Bounds = tuple[float, float]

TELLING = ("target_nll", "bits_per_byte", "loss", "perplexity")
"""Metrics that move with every improvement of a model, in order of preference; a share moves only once answers flip."""

_BLEU = {"bleu": "BLEU", **{f"bleu_{words}": f"BLEU ({words})" for words in ("13a", "intl", "zh", "char")}}
_LABELS = {"target_nll": "target NLL", "chrf": "chrF", **_BLEU}
_ANY: Bounds = (-math.inf, math.inf)


@dataclass(frozen=True)
class _Kind:
    """Metrics whose names end alike: which way is better, between which bounds, and whether written in percent."""

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
    """A number that runs report.

    Attributes:
        name: as runs report it.
        goal: which way is better; None if the name does not tell.
        label: for people.
        percent: whether it is a share of one that is written in percent.
        bounds: least and largest possible value.
    """

    name: str
    goal: Goal | None
    label: str
    percent: bool = False
    bounds: Bounds = _ANY

    @classmethod
    def named(cls, name: str) -> Metric:
        """The metric of that name, whose ending tells its kind."""
        label = _LABELS.get(name, name.replace("_", " "))
        kind = next((kind for kind in _KINDS if name.endswith(kind.endings)), None)
        return cls(name, None, label) if kind is None else cls(name, kind.goal, label, kind.percent, kind.bounds)

    def better(self, value: float, other: float) -> bool:
        """Whether ``value`` is strictly better than ``other``; false where no goal is known."""
        return (value < other) if self.goal == "lower" else (value > other) if self.goal == "higher" else False

"""Predictions of the arms for the same inputs, with the targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from zoo.report.records.records import Run
from zoo.runs.run_result import GeneratedText


@dataclass(frozen=True)
class Prediction:
    """A prediction: ``agrees`` is its longest prefix that matches the target; ``right`` is None without a target."""

    arm: str
    seed: int
    agrees: str
    departs: str
    right: bool | None


@dataclass(frozen=True)
class Sample:
    """An input, its target and the predictions of the arms."""

    source: str
    target: str
    predictions: tuple[Prediction, ...]


def collect_samples(runs: Sequence[Run], limit: int = 8) -> list[Sample]:
    """Collects the first samples of one finished seed per arm, grouped by input and target."""
    chosen: dict[str, tuple[Run, Sequence[GeneratedText]]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        if run.result and run.result.samples:
            chosen.setdefault(run.arm, (run, run.result.samples))
    asked: dict[tuple[str, str], list[Prediction]] = {}
    for arm in dict.fromkeys(run.arm for run in runs if run.arm in chosen):
        run, texts = chosen[arm]
        for text in texts[:limit]:
            prediction = _build_prediction(run, text.target, text.prediction)
            asked.setdefault((text.source, text.target), []).append(prediction)
    return [Sample(source, target, tuple(answers)) for (source, target), answers in asked.items()]


def _build_prediction(run: Run, target: str, said: str) -> Prediction:
    pairs = zip(target, said, strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs)) if target else len(said)
    return Prediction(run.arm, run.seed, said[:shared], said[shared:], said == target if target else None)

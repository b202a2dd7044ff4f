"""Whether a metric means the same in all arms, whose tokens may differ and may not give back the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from zoo.report.records.flat_configs import differing, texts
from zoo.report.records.records import Run, Task
from zoo.units import format_percent

_PER_TOKEN = ("loss", "perplexity", "accuracy")
"""Endings of metrics that are means over tokens, whatever text a token stands for."""


def restrict_comparison(task: Task, runs: Sequence[Run]) -> Task:
    """The task without comparisons that the runs do not allow, each with the reason in its note.

    Arms with different tokenizers are compared by no metric of tokens, and not at all where one of the tokenizers does
    not give back the text. Where all runs withhold the deciding metric, the loss of their equal tokens decides.

    Args:
        task: whose first metric decides.
        runs: of the task.
    """
    if not task.metrics or not task.comparable:
        return task
    first = task.metrics[0]
    if differing([texts(_tokenizer(run)) for run in runs if run.config]):
        lost = "; ".join(lost_text(runs))
        if lost:
            return _apart(task, f"Their tokenizers differ, and text that is dropped need not be predicted: {lost}.")
        if first.endswith(_PER_TOKEN):
            name = first.replace("_", " ")
            return _apart(task, f"Their tokenizers differ, and {name} is a mean over tokens: bits_per_byte would do.")
        return task
    reasons = {(run.result.get("withheld") or {}).get(first) for run in runs if run.result}
    if not reasons or None in reasons:
        return task
    rest = tuple(name for name in task.metrics if name != first) or ("loss",)
    note = f"{first} is withheld: {'; '.join(sorted(map(str, reasons)))}. The arms are judged by {rest[0]} instead."
    return replace(task, metrics=rest, margin=None, note=f"{task.note} {note}".strip())


def lost_text(runs: Sequence[Run]) -> list[str]:
    """For each arm whose tokenizer does not give back all text, how much of training and validation is lost."""
    told = {}
    for run in runs:
        lost: Mapping[str, float] = (run.result or {}).get("text_lost") or {}
        if any(lost.values()):
            shares = " and ".join(f"{format_percent(share)} of {split}" for split, share in lost.items() if share)
            told[run.arm] = f"the tokenizer of {run.arm} does not give back {shares}"
    return list(told.values())


def _apart(task: Task, note: str) -> Task:
    return replace(task, comparable=False, margin=None, note=f"{task.note} {note}".strip())


def _tokenizer(run: Run) -> Mapping[str, Any]:
    data = run.config.get("data")
    return {"tokenizer": data.get("tokenizer") if isinstance(data, Mapping) else None}

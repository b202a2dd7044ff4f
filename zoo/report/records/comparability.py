"""Checks whether a metric means the same in all arms: their tokenizers may differ, and may lose text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zoo.report.records.records import Run, Task
from zoo.runs.config_sections import Options
from zoo.runs.flat_configs import find_differing_keys, flatten_to_text
from zoo.system.units import format_percent

_PER_TOKEN = ("loss", "perplexity", "accuracy")
"""Endings of metrics that are means over tokens, so that they depend on the tokenizer."""


def restrict_comparison(task: Task, runs: Sequence[Run]) -> Task:
    """Returns the task without comparisons that the runs do not permit, with the reasons in its note.

    Arms with different tokenizers are not compared by means over tokens, and not at all if one of the tokenizers loses
    text. If all runs withhold the primary metric, the next metric, or else the loss of their equal tokens, replaces it.

    Args:
        task: task whose first metric is the primary one.
        runs: runs of the task.
    """
    if not task.metrics or not task.comparable:
        return task
    first = task.metrics[0]
    if find_differing_keys([flatten_to_text(_get_tokenizer(run)) for run in runs if run.config]):
        lost = "; ".join(describe_lost_text(runs))
        if lost:
            note = f"The arms use different tokenizers, and text that a tokenizer loses need not be predicted: {lost}."
            return _disable_comparison(task, note)
        if first.endswith(_PER_TOKEN):
            name = first.replace("_", " ")
            note = f"The arms use different tokenizers, and {name} is a mean over tokens; use bits_per_byte instead."
            return _disable_comparison(task, note)
        return task
    reasons = {run.result.withheld.get(first) for run in runs if run.result}
    if not reasons or None in reasons:
        return task
    rest = tuple(name for name in task.metrics if name != first) or ("loss",)
    note = f"{first} is withheld: {'; '.join(sorted(map(str, reasons)))}. The arms are compared by {rest[0]} instead."
    return replace(task, metrics=rest, margin=None, note=f"{task.note} {note}".strip())


def describe_lost_text(runs: Sequence[Run]) -> list[str]:
    """Describes, for each arm whose tokenizer loses text, how much of the training and validation text is lost."""
    described = {}
    for run in runs:
        lost = {} if run.result is None else run.result.text_lost
        if any(lost.values()):
            shares = " and ".join(f"{format_percent(share)} of {split}" for split, share in lost.items() if share)
            described[run.arm] = f"the tokenizer of {run.arm} loses {shares}"
    return list(described.values())


def _disable_comparison(task: Task, note: str) -> Task:
    return replace(task, comparable=False, margin=None, note=f"{task.note} {note}".strip())


def _get_tokenizer(run: Run) -> Options:
    return {"tokenizer": run.get_section("data").get("tokenizer")}

"""Arms whose tokenizers differ: what does not mean the same in all is not compared, and the report says why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from zoo.report import Run, Study, Task, build_tables
from zoo.report.claims.answer import format_answer
from zoo.report.output.markdown import format_markdown
from zoo.runs.run_result import RunResult

REASON = "the tokenizer does not give back 86.2 % of the validation text"
LOSSY = {"text_lost": {"train": 0.861, "validation": 0.862}, "withheld": {"bits_per_byte": REASON}}
WHOLE = {"text_lost": {"train": 0.0, "validation": 0.0}, "withheld": {}}


def runs_of(arms: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, float]]]) -> list[Run]:
    """Three seeds of each arm: its tokenizer, what its result says of the text, its metrics."""
    runs = []
    for arm, (tokenizer, said, metrics) in arms.items():
        config = {"data": {"name": "text", "tokenizer": {"name": tokenizer}}}
        for seed in range(3):
            folder, values = Path(f"{arm}{seed}"), {name: value * (1 + 0.001 * seed) for name, value in metrics.items()}
            result = RunResult(folder=folder, metrics=values, **said)
            runs.append(Run(arm, "t", seed, folder, config, result, None, pl.DataFrame()))
    return runs


def told(metric: str, runs: list[Run]) -> tuple[str, str]:
    """The answer, and the written report."""
    study = Study("s", "q", "", "a", {"a": {}, "b": {"data/tokenizer": "b"}}, (Task("t", True, (metric,)),))
    tables = build_tables(study, runs)
    return format_answer(tables[0]), format_markdown(study, runs, tables, [])


@pytest.mark.parametrize("metric", ["bits_per_byte", "loss"])
def test_a_tokenizer_that_drops_text_wins_nothing(metric: str) -> None:
    lossy = {"loss": 0.2, "bits_per_byte": 0.1} if metric == "loss" else {"loss": 0.2}
    runs = runs_of({"a": ("bytes", WHOLE, {"loss": 2.0, "bits_per_byte": 3.0}), "b": ("file", LOSSY, lossy)})
    said, page = told(metric, runs)
    assert "are not compared" in said
    assert "the tokenizer of b loses 86.1 % of train and 86.2 % of validation" in said.replace("\xa0", " ")
    assert "better" not in page
    assert "On t, the tokenizer of b loses" in page


def test_tokens_of_two_tokenizers_are_compared_in_bytes_alone() -> None:
    metrics = {"loss": 2.0, "bits_per_byte": 3.0}
    runs = runs_of({"a": ("bytes", WHOLE, metrics), "b": ("bpe", WHOLE, {"loss": 5.0, "bits_per_byte": 2.0})})
    assert "loss is a mean over tokens; use bits_per_byte instead" in told("loss", runs)[0]
    assert "b beats a by" in told("bits_per_byte", runs)[0]


def test_one_tokenizer_that_drops_text_leaves_its_loss_to_compare() -> None:
    runs = runs_of({"a": ("file", LOSSY, {"loss": 2.0}), "b": ("file", LOSSY, {"loss": 1.0})})
    said, page = told("bits_per_byte", runs)
    assert "b beats a by" in said
    assert f"bits_per_byte is withheld: {REASON}. The arms are compared by loss instead." in page.replace("\\_", "_")

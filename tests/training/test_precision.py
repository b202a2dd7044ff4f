"""Precisions that this machine can train in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import NUMBERS, SMALL, zoo


@pytest.mark.parametrize("precision", ["bf16-true", "bf16-mixed"])
def test_a_run_in_bfloat16_gets_a_result(precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = ["model=llama/tiny", *SMALL, *NUMBERS, "model.attention.kv_heads=1", "steps=2", "evaluate=2"]
    outcome = zoo("train", *config, "trainer=cpu", "threads=1", f"precision={precision}")
    assert outcome.code == 0, outcome.err
    assert "loss " in outcome.out

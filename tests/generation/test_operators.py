"""The number of operators of a decoding step, which is what a step of a small model costs on a CPU."""

from __future__ import annotations

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from zoo.config.compose import compose_run
from zoo.generation.reader import PromptReader
from zoo.model.build import build
from zoo.model.inputs import Inputs

VOCABULARY, STEPS = 64, 4


def count_operators(preset: str, segment: torch.Tensor | None = None) -> float:
    """Counts the operators of a step after a prompt of two rows, as the profiler of torch sees them."""
    config = compose_run([f"model={preset}"])["model"]
    model = build({**config, "vocabulary": None}, VOCABULARY, seed=0).eval()
    reading = PromptReader(model, Inputs(torch.full((2, 6), 7), segment), STEPS + 1)
    token = torch.tensor([8, 9])
    reading.add(token)
    with profile(activities=[ProfilerActivity.CPU]) as record:
        for _ in range(STEPS):
            reading.add(token)
    return sum(event.count for event in record.key_averages() if event.key.startswith("aten::")) / STEPS


@pytest.mark.parametrize(("preset", "most"), [("gpt", 620), ("llama", 890)])
def test_a_step_has_few_operators(preset: str, most: int) -> None:
    """At most so many for four layers; a matrix product alone has eleven."""
    plain = count_operators(preset)
    assert plain <= most
    padded = count_operators(preset, torch.tensor([[-1, 0, 0, 0, 0, 0], [0] * 6]))
    assert plain < padded < plain + 100, "one mask for all layers"

"""What is logged of each layer, against autograd's own word on a model that was never hooked."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo.config.checking import CheckedConfig
from zoo.config.data_and_objective import make_objective
from zoo.data.row_order import draw_row_indices
from zoo.model import build
from zoo.runs.run_result import RunResult
from zoo.training.random_streams import derive_seed, make_generator
from zoo.training.run import prepare_data

Trained = Callable[[CheckedConfig], tuple[Path, RunResult]]


def logged(path: Path) -> dict[int, dict[str, float]]:
    """What was logged by depth, by step."""
    lines = list(csv.DictReader((path / "metrics.csv").read_text().splitlines()))
    found = {}
    for line in lines:
        if told := {key: float(value) for key, value in line.items() if key.startswith("depth/") and value}:
            found[int(float(line["step"]))] = told
    return found


def expected(checked: CheckedConfig) -> dict[str, float]:
    """At the first step, all its rows at once: outputs of all layers, and autograd's gradient with respect to each."""
    config = checked.config
    prepared = prepare_data(config)
    assert checked.plan is not None
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(config.seed, "weights"))
        model = build.assemble(checked.plan, prepared.vocabulary.size)
        objective = make_objective(config, prepared.vocabulary)
    size = config.batch * config.accumulate
    rows = draw_row_indices(len(prepared.train), size, derive_seed(config.seed, "order"), 0)
    drawn = [make_generator(config.seed, "objective", row) for row in range(size)]
    view = objective.prepare(prepared.train.get_batch(rows), drawn)
    heard: dict[str, list[Any]] = {}
    for name, stack in model.get_stacks().items():
        for layer in stack.list_distinct_layers():
            layer.register_forward_hook(lambda _, given, x, name=name: heard.setdefault(name, []).append((given, x)))
    loss = torch.stack(list(objective.loss(model, view).values())).sum()
    found = {}
    for name, outputs in heard.items():
        gradients = torch.autograd.grad(loss, [x for _, x in outputs], retain_graph=True)
        for i, ((given, output), gradient) in enumerate(zip(outputs, gradients, strict=True)):
            rows = zip(output.detach(), given[1].query.segment, strict=True)
            real = torch.cat([row[segment >= 0] for row, segment in rows])
            found[f"depth/activation/{name}/{i}"] = float(real.pow(2).mean() ** 0.5)
            found[f"depth/gradient/{name}/{i}"] = float(gradient.norm())
    return found


@pytest.mark.parametrize(
    "overrides",
    [
        ("model.layers=3",),
        ("model.variant=encoder_decoder", "model.layers=2", "accumulate=2"),
        ("model.layers=4", "model.distinct_layers=2"),
    ],
)
def test_what_is_logged_is_what_autograd_says(
    overrides: tuple[str, ...], pairs: Callable[..., CheckedConfig], trained: Trained
) -> None:
    checked = pairs(*overrides, "steps=4", "evaluate=2", "model.dropout=0")
    path, _ = trained(checked)
    found = logged(path)
    assert sorted(found) == [1, 2, 4]
    assert found[1] == pytest.approx(expected(checked), rel=1e-4)
    assert found[4].keys() == found[1].keys()
    assert found[4] != found[1]

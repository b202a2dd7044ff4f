"""The walk of shapes, compared with what hooks see when real numbers pass the model."""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.config.compose import compose_run
from zoo.config.groups import list_choices
from zoo.inspect.shapes import ModuleCall, walk_shapes
from zoo.inspect.source_code import read_forward
from zoo.model.build import VARIANTS, build, check
from zoo.model.plan import ModelPlan
from zoo.model.schema import SLOTS
from zoo.registry import get_index
from zoo.testing.subject import build_config

PRESETS = [name for name in list_choices("model") if "/" not in name and name != "hub"]
PARTS = [(slot, name) for slot in SLOTS for name in get_index().get_names(slot)]
VOCABULARY, LENGTH = 50, 6


def plan_of(config: dict[str, Any]) -> ModelPlan:
    _, plan, problems = check(config)
    assert plan is not None
    assert not problems
    return plan


def seen(config: dict[str, Any]) -> Counter[tuple[str, tuple[int, ...]]]:
    """Class and output shape of every call when real tokens are read."""
    model = build(config, VOCABULARY, seed=0).eval()
    found: Counter[tuple[str, tuple[int, ...]]] = Counter()

    def note(module: nn.Module, given: Any, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) else output
        found[type(module).__name__, tuple(first.shape)] += 1

    for module in model.modules():
        module.register_forward_hook(note)
    given = [torch.zeros(1, LENGTH, dtype=torch.long)] * len(model.get_stacks())
    with torch.no_grad():
        model(*given) if model.head is not None else model.hidden_states(*given)
    return found


def unfolded(calls: Sequence[ModuleCall]) -> Counter[tuple[str, tuple[int, ...]]]:
    """Calls with those that were folded, which also repeat all that was called inside of them."""
    found: Counter[tuple[str, tuple[int, ...]]] = Counter()
    around: list[int] = []
    for call in calls:
        around[call.depth :] = [call.count * (around[call.depth - 1] if call.depth else 1)]
        found[call.component, call.outputs[0].shape] += around[-1]
    return found


def compare(config: dict[str, Any]) -> None:
    walk = walk_shapes(plan_of(config), VOCABULARY, LENGTH)
    assert unfolded(walk.calls) == seen(config)
    for call in walk.calls:
        assert all(item.shape for item in call.inputs), call
        assert call.location in walk.code
    json.dumps(asdict(walk), allow_nan=False)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_walked(name: str) -> None:
    compare(compose_run([f"model={name}"])["model"])


@pytest.mark.parametrize(("slot", "name"), PARTS, ids=[f"{slot}-{name}" for slot, name in PARTS])
def test_a_component_is_walked(slot: str, name: str) -> None:
    for variant in VARIANTS:
        config = build_config(slot, {"name": name}, variant)
        if not check(config)[2]:
            compare(config)


def test_equal_layers_are_told_once(tiny: Callable[..., dict[str, Any]]) -> None:
    walk = walk_shapes(plan_of(tiny(layers=5)), VOCABULARY, LENGTH, rows=3)
    (layer,) = (call for call in walk.calls if call.component == "Layer")
    assert (layer.path, layer.last, layer.count) == ("stack.layers.0", "stack.layers.4", 5)
    assert layer.inputs[0].name == "x"
    assert layer.inputs[0].shape == layer.outputs[0].shape == (3, LENGTH, 16)
    assert walk.calls[0].outputs[0].shape == (3, LENGTH, VOCABULARY)


def test_layers_that_differ_are_told_apart(tiny: Callable[..., dict[str, Any]]) -> None:
    other = {"second": {"at": [1], "ffn": {"name": "gated"}}}
    walk = walk_shapes(plan_of(tiny(layers=4, exceptions=other)), VOCABULARY, LENGTH)
    layers = [(call.path, call.count) for call in walk.calls if call.component == "Layer"]
    assert layers == [("stack.layers.0", 1), ("stack.layers.1", 1), ("stack.layers.2", 2)]


def test_layers_with_shared_weights_are_one_module(tiny: Callable[..., dict[str, Any]]) -> None:
    walk = walk_shapes(plan_of(tiny(layers=4, distinct_layers=1)), VOCABULARY, LENGTH)
    (layer,) = (call for call in walk.calls if call.component == "Layer")
    assert (layer.path, layer.last, layer.count) == ("stack.layers.0", "stack.layers.0", 4)


def test_calls_inside_of_a_layer_are_in_order(tiny: Callable[..., dict[str, Any]]) -> None:
    walk = walk_shapes(plan_of(tiny("encoder_decoder")), VOCABULARY, LENGTH)
    inside = [call.path for call in walk.calls if call.path.startswith("decoder.layers.0.") and call.depth == 4]
    assert [path.removeprefix("decoder.layers.0.") for path in inside if "dropout" not in path] == [
        "residual.norms.0",
        "attention",
        "residual.norms.1",
        "cross",
        "residual.norms.2",
        "ffn",
    ]


def test_locations_are_those_of_the_files(tiny: Callable[..., dict[str, Any]]) -> None:
    walk = walk_shapes(plan_of(tiny()), VOCABULARY, LENGTH)
    folder = Path(inspect.getsourcefile(zoo) or "").parents[1]
    ours = [code for code in walk.code.values() if code.location.startswith("zoo/")]
    assert len(ours) > 5
    for code in ours:
        file, _, line = code.location.partition(":")
        lines = folder.joinpath(file).read_text(encoding="utf8").splitlines()
        assert lines[int(line) - 1].strip() == code.line
        assert code.line.startswith("def forward(")
        first = code.body.splitlines()[0]
        assert first in "\n".join(lines[int(line) :])
    (norm,) = (code for code in ours if code.location.startswith("zoo/components/norm/layer.py"))
    assert norm.body == "return F.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)\n"


def test_source_that_is_in_no_file_is_left_out() -> None:
    from zoo.inspect.source_code import read_forward

    names: dict[str, Any] = {"nn": nn, "Tensor": Tensor}
    exec("class Made(nn.Module):\n    def forward(self, x: Tensor) -> Tensor:\n        return x", names)
    found = read_forward(names["Made"])
    assert (found.line, found.body, found.arguments) == ("", "", ("x",))


def test_a_forward_that_is_a_lambda_has_no_source() -> None:
    class Doubled(nn.Module):
        forward = lambda self, x: 2 * x  # noqa: E731

    found = read_forward(Doubled)
    assert (found.line, found.body, found.arguments) == ("", "", ("x",))

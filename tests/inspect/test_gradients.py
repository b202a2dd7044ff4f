"""The view of gradients, against autograd by hand and closed forms."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.inspect.conftest import Speaker
from zoo.config.compose import compose_run
from zoo.config.groups import list_choices
from zoo.inspect import gradient_view
from zoo.inspect.gradient_view import build_gradient_view
from zoo.inspect.gradients import (
    GradientView,
    measure_gradients,
    measure_profile,
    read_gradient_curves,
    remove_parts,
)
from zoo.inspect.text_loss import TextBatch, build_text_batch
from zoo.model.build import VARIANTS, build, check
from zoo.model.inputs import Inputs
from zoo.model.schema import SLOTS
from zoo.model.variants.variant import Variant
from zoo.registry import get_index
from zoo.testing.subject import build_config

PRESETS = [name for name in list_choices("model") if "/" not in name and name != "hub"]
PARTS = [(slot, name) for slot in SLOTS for name in get_index().get_names(slot)]
VOCABULARY = 50


def measured(model: Variant) -> GradientView:
    tokens = torch.randint(VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(0))
    inputs = Inputs(tokens, source=tokens.flip(1) if model.name == "encoder_decoder" else None)
    return measure_gradients(model, TextBatch(inputs, F.pad(tokens[:, 1:], (0, 1), value=-1), "next_token"))


def check_view(model: Variant) -> None:
    """Every layer has finite gradients, in all of them; the model itself is as it was."""
    before = [parameter.clone() for parameter in model.parameters()]
    view = measured(model)
    assert [profile.weights for profile in view.profiles] == [
        "model",
        "initial",
        "no_residual",
        "no_norm",
        "no_residual_no_norm",
    ]
    for profile in view.profiles:
        for found, (name, stack) in zip(profile.stacks, model.get_stacks().items(), strict=True):
            assert found.stack == name
            assert len(found.outputs) == len(found.parameters) == stack.depth
            assert all(norm is None or norm >= 0 for norm in (*found.outputs, *found.parameters))
        if profile.weights in ("model", "initial"):
            assert profile.stacks[-1].outputs[-1]
    assert {name for stack in view.profiles[-1].stacks for name in stack.residual} == {"none"}
    json.dumps(asdict(view), allow_nan=False)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(map(torch.equal, before, model.parameters()))
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize("name", PRESETS)
def test_gradients_of_a_preset(name: str) -> None:
    config = {**compose_run([f"model={name}"])["model"], "layers": 2, "dim": 32, "hidden": 32, "heads": 4}
    check_view(build(config if not check(config)[2] else compose_run([f"model={name}"])["model"], VOCABULARY, seed=0))


@pytest.mark.parametrize(("slot", "name"), PARTS, ids=[f"{slot}-{name}" for slot, name in PARTS])
def test_gradients_of_a_component(slot: str, name: str) -> None:
    for variant in VARIANTS:
        config = build_config(slot, {"name": name}, variant)
        if not check(config)[2]:
            check_view(build(config, VOCABULARY, seed=0))


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_are_those_of_autograd(variant: str, speaker: Speaker) -> None:
    """Layers are called one by one, so that no hook is needed; gradients of parameters are those of backward."""
    model, prompting = speaker(variant)
    batch = build_text_batch(model, prompting, ["some text", "and more of it"])
    view = measure_gradients(model, batch)
    outputs: dict[str, list[Any]] = {name: [] for name in model.get_stacks()}
    for name, stack in model.get_stacks().items():
        for layer in stack.list_distinct_layers():
            plain = layer.forward

            def kept(*given: Any, name: str = name, plain: Any = plain) -> Any:
                outputs[name].append(plain(*given).clone())
                outputs[name][-1].retain_grad()
                return outputs[name][-1]

            layer.forward = kept  # type: ignore[method-assign]
    logits = model.logits(model.compute_hidden(batch.inputs))
    terms = [
        F.cross_entropy(row, target)
        for row, target in zip(logits[batch.targets >= 0], batch.targets[batch.targets >= 0], strict=True)
    ]
    loss = sum(terms) / len(terms)
    loss.backward()  # type: ignore[union-attr]
    own = view.profiles[0]
    assert own.loss == pytest.approx(float(loss), rel=1e-5)
    assert view.tokens == len(terms)
    for found in own.stacks:
        assert found.outputs == pytest.approx([float(x.grad.norm()) for x in outputs[found.stack]], rel=1e-4)
        layers = model.get_stacks()[found.stack].list_applied_layers()
        norms = [
            sum(float(p.grad.double().square().sum()) for p in layer.parameters() if p.grad is not None) ** 0.5
            for layer in layers
        ]
        assert found.parameters == pytest.approx(norms, rel=1e-4)


def test_initial_weights_are_those_of_the_seed(tiny: Callable[..., dict[str, Any]]) -> None:
    """A model that was just built is its own initial model; without residuals it is that of the config with none."""
    model = build(tiny(), VOCABULARY, seed=0)
    own, *others = measured(model).profiles
    none = {"name": "none"}
    for found, over in zip(
        others, ({}, {"residual": none}, {"norm": none}, {"residual": none, "norm": none}), strict=True
    ):
        assert replace(measured(build(tiny(**over), VOCABULARY, seed=0)).profiles[0], weights=found.weights) == found
    assert replace(own, weights="initial") == others[0]


def test_gradients_vanish_without_residuals(tiny: Callable[..., dict[str, Any]]) -> None:
    """24 layers without norms: with x + F(x) the first layer gets as large a gradient as the last; without, none.

    With norms, which rescale what becomes small, it does not vanish.
    """
    _, *profiles = measured(build(tiny(layers=24, dim=32, hidden=128), VOCABULARY, seed=0)).profiles
    ends = {profile.weights: (profile.stacks[0].outputs[0], profile.stacks[0].outputs[-1]) for profile in profiles}
    shares = {name: (first or 0.0) / (last or 1.0) for name, (first, last) in ends.items()}
    assert shares["initial"] == pytest.approx(1, abs=0.1)
    assert shares["no_norm"] == pytest.approx(1, abs=0.1)
    assert shares["no_residual_no_norm"] < 1e-20
    assert shares["no_residual"] > 0.1


def test_layers_that_share_weights_have_gradients_of_their_own_outputs(tiny: Callable[..., dict[str, Any]]) -> None:
    (stack,) = measured(build(tiny(layers=4, distinct_layers=2), VOCABULARY, seed=0)).profiles[0].stacks
    assert len(set(stack.outputs)) == 4
    assert stack.parameters[:2] == stack.parameters[2:]


def test_frozen_weights_have_no_gradients_but_outputs_do(tiny: Callable[..., dict[str, Any]]) -> None:
    model = build(tiny(), VOCABULARY, seed=0)
    free = measured(model).profiles[0].stacks[0]
    model.requires_grad_(False)
    frozen = measured(model).profiles[0].stacks[0]
    assert frozen.outputs == pytest.approx(free.outputs)
    assert frozen.parameters == (0.0, 0.0)


def test_residuals_are_all_that_is_removed(tiny: Callable[..., dict[str, Any]]) -> None:
    _, plan, _ = check(tiny("encoder_decoder", exceptions={"one": {"at": [1], "residual": {"name": "post"}}}))
    assert plan is not None
    bare = remove_parts(plan, ["residual"])
    for stack, other in zip(plan.stacks, bare.stacks, strict=True):
        for layer, without in zip((*stack.layers, stack.base), (*other.layers, other.base), strict=True):
            assert without.residual.name == "none"
            assert replace(without, residual=layer.residual) == layer


def test_an_error_leaves_no_hooks(tiny: Callable[..., dict[str, Any]]) -> None:
    model = build(tiny(), VOCABULARY, seed=0)
    wrong = torch.full((1, 3), 10_000)
    with pytest.raises(IndexError):
        measure_profile(model, TextBatch(Inputs(wrong), wrong, "next_token"), "model")
    assert not any(module._forward_hooks for module in model.modules())


def test_curves_are_read_from_the_metrics_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(
        "step,loss,depth/gradient/decoder/0,depth/gradient/decoder/10,depth/activation/decoder/0\n"
        "1,3.5,0.25,0.5,1\n20,2.5,,,\n40,2,0.125,0.75,1\n"
    )
    first, second = read_gradient_curves(tmp_path)
    assert (first.stack, first.layer, first.steps, first.norms) == ("decoder", 0, (1, 40), (0.25, 0.125))
    assert (second.layer, second.norms) == (10, (0.5, 0.75))
    assert read_gradient_curves(tmp_path / "elsewhere") == ()


def test_large_models_have_no_initial_twins(speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompting = speaker()
    whole = build_gradient_view(model, prompting, "a text", None)
    monkeypatch.setattr(gradient_view, "MOST_PARAMETERS", 1000)
    alone = build_gradient_view(model, prompting, "a text", None)
    assert whole is not None
    assert alone is not None
    assert len(whole["profiles"]) == 5
    assert alone["profiles"] == whole["profiles"][:1]

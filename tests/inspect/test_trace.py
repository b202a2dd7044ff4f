"""A trace tells what every part of a model contributed; zoo.testing holds it to that for every component."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from zoo.config.compose import compose_run
from zoo.config.groups import list_choices
from zoo.inspect.trace import trace_model
from zoo.model.build import build
from zoo.model.inputs import Inputs
from zoo.model.variants.variant import Variant

PRESETS = [name for name in list_choices("model") if "/" not in name and name != "hub"]
VOCABULARY = 50


@pytest.mark.parametrize("name", PRESETS)
@torch.no_grad()
def test_parts_of_a_preset_sum_to_its_output(name: str) -> None:
    """Each at laptop size, in float32: embeddings plus all changes are the output, and logits are those of forward."""
    model = build(compose_run([f"model={name}"])["model"], VOCABULARY, seed=0).eval()
    tokens = torch.randint(VOCABULARY, (1, 12), generator=torch.Generator().manual_seed(0))
    inputs = Inputs(tokens, source=tokens.flip(1) if model.name == "encoder_decoder" else None)
    before = model.compute_hidden(inputs)
    traced = trace_model(model, inputs)
    for key, stack in model.get_stacks().items():
        found = traced.stacks[key]
        assert len(found.layers) == stack.depth
        total = found.layers[0].before + sum(
            layer.wiring + sum(sublayer.change for sublayer in layer.sublayers) for layer in found.layers
        )
        total = total if stack.final_norm is None else stack.final_norm(total)
        torch.testing.assert_close(total, found.hidden, atol=1e-5, rtol=1e-5)
        for record in (record for layer in found.layers for part in layer.sublayers for record in part.attention):
            if record.scores is not None:
                assert (record.weights.sum(dim=-1) <= 1 + 1e-5).all()
    torch.testing.assert_close(found.hidden, before, atol=1e-5, rtol=1e-5)
    assert torch.equal(model.compute_hidden(inputs), before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_changes_with_pre_norm_are_the_outputs(built: Callable[..., Variant]) -> None:
    """x + f(norm(x)): the change is f, what it read is norm(x), and the wiring adds nothing."""
    model = built()
    tokens = torch.arange(6, 14)[None]
    for number, layer in enumerate(trace_model(model, Inputs(tokens)).stacks["decoder"].layers):
        assert not layer.wiring.any()
        assert [part.name for part in layer.sublayers] == ["attention", "ffn"]
        residual = model.get_stacks()["decoder"].list_applied_layers()[number].residual
        for norm, part, stream in zip(
            residual.norms, layer.sublayers, (layer.before, layer.before + layer.sublayers[0].output), strict=True
        ):
            torch.testing.assert_close(part.change, part.output, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(part.input, norm(stream), atol=1e-5, rtol=1e-5)


def test_changes_with_post_norm_are_differences_of_norms(built: Callable[..., Variant]) -> None:
    model = built(residual={"name": "post"})
    layer = trace_model(model, Inputs(torch.arange(6, 14)[None])).stacks["decoder"].layers[0]
    first, second = model.get_stacks()["decoder"].list_applied_layers()[0].residual.norms
    attention, ffn = layer.sublayers
    torch.testing.assert_close(layer.before + layer.wiring, second(first(layer.before)))
    middle = first(layer.before + attention.output)
    torch.testing.assert_close(layer.before + layer.wiring + attention.change, second(middle))
    torch.testing.assert_close(layer.after, second(middle + ffn.output))


@pytest.mark.parametrize("name", ["lstm", "gru", "fourier"])
def test_mixers_that_average_no_values_have_no_weights(name: str, built: Callable[..., Variant]) -> None:
    variant = "encoder" if name == "fourier" else "decoder"
    model = built(variant, attention={"name": name}, position={"name": "none"})
    for layer in trace_model(model, Inputs(torch.arange(6, 14)[None])).stacks[variant].layers:
        assert not any(part.attention for part in layer.sublayers)


def test_an_error_leaves_no_hooks(built: Callable[..., Variant]) -> None:
    model = built()
    with pytest.raises(IndexError):
        trace_model(model, Inputs(torch.full((1, 3), 10_000)))
    assert not any(module._forward_hooks for module in model.modules())

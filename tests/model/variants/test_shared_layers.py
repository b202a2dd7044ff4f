"""Layers that share weights: applied each time, kept once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from zoo.model.build import build, check
from zoo.model.inputs import Inputs
from zoo.model.variants.variant import Variant

Tiny = Callable[..., dict[str, Any]]
Built = Callable[..., Variant]
TOKENS = torch.tensor([[7, 9, 12, 7, 30], [8, 8, 6, 31, 7]])


def test_a_model_with_shared_layers_is_one_with_equal_layers(tiny: Tiny, built: Built) -> None:
    """Layer i of the other model is given the weights of layer i modulo 2; gradients of its copies add up."""
    shared, apart = built(layers=5, distinct_layers=2), build(tiny(layers=5), 32).eval()
    weights = shared.state_dict()
    assert {name.split(".")[2] for name in weights if name.startswith("stack.layers")} == {"0", "1"}
    copies = {name: name for name in apart.state_dict()}
    for name in copies:
        if name.startswith("stack.layers"):
            stack, layers, number, *rest = name.split(".")
            copies[name] = ".".join([stack, layers, str(int(number) % 2), *rest])
    apart.load_state_dict({name: weights[copy] for name, copy in copies.items()})
    outs = [model.compute_hidden(Inputs(TOKENS)) for model in (shared, apart)]
    torch.testing.assert_close(*outs)
    for out in outs:
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    gradients = {name: torch.zeros_like(p) for name, p in shared.named_parameters()}
    for name, parameter in apart.named_parameters():
        assert parameter.grad is not None
        gradients[copies[name]] += parameter.grad
    for name, parameter in shared.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("variant", ["decoder", "encoder_decoder"])
def test_caches_are_of_each_application(variant: str, built: Built) -> None:
    model = built(variant, layers=3, distinct_layers=1)
    source = TOKENS[:, :3] if variant == "encoder_decoder" else None
    caches = model.reader.create_caches(5, 3)
    assert len(caches) == 3
    with torch.no_grad():
        first = model.compute_hidden(Inputs(TOKENS[:, :2], source=source), caches)
        rest = model.compute_hidden(Inputs(TOKENS[:, 2:], start=2), caches)
        whole = model.compute_hidden(Inputs(TOKENS, source=source))
    torch.testing.assert_close(torch.cat([first, rest], dim=1), whole, atol=1e-5, rtol=1e-5)


def test_operations_count_every_application(tiny: Tiny) -> None:
    with torch.device("meta"):
        model = build(tiny("encoder", layers=5, distinct_layers=2), 32).eval()
    with FlopCounterMode(display=False) as counter:
        model.logits(model.compute_hidden(Inputs(torch.zeros(1, 7, dtype=torch.long, device="meta"))))
    assert model.flops(7, 0) == counter.get_total_flops()
    assert model.flops(7, 0) == build(tiny("encoder", layers=5), 32).flops(7, 0)


def test_dropout_is_drawn_for_each_application(tiny: Tiny) -> None:
    """A layer whose sublayers are the identity, twice: with one draw for both, what is zeroed would be so twice."""
    model = build(tiny(layers=2, distinct_layers=1, dropout=0.5), 32, seed=0)
    (layer,) = model.reader.list_distinct_layers()
    drawn: list[torch.Tensor] = []
    layer.dropout.register_forward_hook(lambda module, given, out: drawn.append(out == 0))
    model.compute_hidden(Inputs(TOKENS))
    assert len(drawn) == 4
    assert not torch.equal(drawn[0], drawn[2])


def test_each_stack_shares_by_its_own_number(tiny: Tiny) -> None:
    config = tiny("encoder_decoder", layers=4, distinct_layers=2, encoder={"distinct_layers": 1}, decoder={"layers": 3})
    encoder, decoder = build(config, 32).get_stacks().values()
    assert [encoder.list_applied_layers().index(layer) for layer in encoder.list_applied_layers()] == [0, 0, 0, 0]
    assert [decoder.list_applied_layers().index(layer) for layer in decoder.list_applied_layers()] == [0, 1, 0]


def test_residuals_are_told_how_many_layers_are_applied(tiny: Tiny) -> None:
    """DeepNorm depends on it (Wang et al. 2022): alpha = (2 * 6)^(1/4) in a decoder."""
    model = build(tiny(layers=6, distinct_layers=2, residual={"name": "deepnorm"}), 32)
    gains = {layer.residual.branch_gain for layer in model.reader.list_distinct_layers()}
    assert gains == {
        build(tiny(layers=6, residual={"name": "deepnorm"}), 32).reader.list_distinct_layers()[0].residual.branch_gain
    }
    assert gains != {
        build(tiny(layers=2, residual={"name": "deepnorm"}), 32).reader.list_distinct_layers()[0].residual.branch_gain
    }


def test_exceptions_that_repeat_with_the_weights_are_taken(tiny: Tiny) -> None:
    far = {"every": 2, "attention": {"scores": {"window": 3}}}
    model = build(tiny(layers=4, distinct_layers=2, exceptions={"far": far}), 32)
    assert len(model.reader.list_distinct_layers()) == 2


@pytest.mark.parametrize(
    ("over", "line"),
    [
        (
            {"distinct_layers": 5},
            "model.distinct_layers: must be between 1 and layers: got distinct_layers=5, layers=4",
        ),
        (
            {"distinct_layers": 0},
            "model.distinct_layers: must be between 1 and layers: got distinct_layers=0, layers=4",
        ),
        (
            {"distinct_layers": 2, "exceptions": {"x": {"at": [3], "hidden": 7, "ffn": {"bias": True}}}},
            "model.distinct_layers: layers that share weights must be equal: got distinct_layers=2 and layers 1 and 3, "
            "which differ in hidden, ffn",
        ),
    ],
)
def test_what_cannot_be_shared_is_refused(over: dict[str, Any], line: str, tiny: Tiny) -> None:
    assert check(tiny(layers=4, **over))[2] == [line]

"""Ablations, against models whose weights were set so that the part does nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.inspect.conftest import Speaker
from zoo.checks import Refused
from zoo.config.compose import compose_run
from zoo.config.groups import list_choices
from zoo.generation import generate
from zoo.inspect import ablation_view
from zoo.inspect.ablation import measure_ablations
from zoo.inspect.ablation_targets import Target, find_target, find_targets, list_targets
from zoo.inspect.ablation_view import build_ablation_view
from zoo.inspect.switch_off import switch_off
from zoo.inspect.text_loss import build_text_batch, compute_text_loss
from zoo.model.build import VARIANTS, build, check
from zoo.model.inputs import Inputs
from zoo.model.projections import BatchedLinear, OutputLinear
from zoo.model.schema import SLOTS
from zoo.model.stack import Layer
from zoo.model.variants.variant import Variant
from zoo.registry import get_index
from zoo.testing.subject import build_config, perturb

PRESETS = [name for name in list_choices("model") if "/" not in name and name != "hub"]
PARTS = [(slot, name) for slot in SLOTS for name in get_index().get_names(slot)]
VOCABULARY = 32


def hidden(model: Variant, name: str | None = None) -> Tensor:
    """Last hidden states of two rows, while a part is off."""
    tokens = torch.randint(VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(0))
    inputs = Inputs(tokens, source=tokens.flip(1) if model.name == "encoder_decoder" else None)
    with torch.no_grad():
        if name is None:
            return model.compute_hidden(inputs)
        with switch_off(model, name):
            return model.compute_hidden(inputs)


def layer_of(model: Variant, target: Target) -> Layer:
    return model.get_stacks()[target.stack].list_applied_layers()[target.layer or 0]


def zeroed(model: Variant, target: Target) -> Tensor | None:
    """The hidden states of a copy in which weights that are zero do what the ablation says; None: by no weights."""
    plain = copy.deepcopy(model)
    part = getattr(layer_of(plain, target), target.part)
    outputs = [
        module
        for module in part.modules()
        if isinstance(module, OutputLinear) or (isinstance(module, BatchedLinear) and module.is_output)
    ]
    if not outputs:
        return None
    if target.kind == "head":
        weight = outputs[0].weight.data
        width = weight.shape[1] // part.output_heads
        weight[:, (target.number or 0) * width :][:, :width] = 0
        return hidden(plain)
    for output in outputs:
        output.weight.data.zero_()
        if output.bias is not None:
            output.bias.data.zero_()
    return hidden(plain)


def check_all(model: Variant) -> None:
    """Heads and sublayers are off as if their weights were zero; whatever was off, the model is itself again."""
    before = hidden(model)
    compared = 0
    for target in (target for target in list_targets(model) if target.number in (None, 1)):
        found = hidden(model, target.name)
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
        if target.kind in ("head", "sublayer") and (expected := zeroed(model, target)) is not None:
            assert torch.equal(found, expected), target
            assert not torch.equal(found, before), target
            compared += 1
    assert compared or not any(target.kind == "head" for target in list_targets(model))
    assert torch.equal(hidden(model), before)


@pytest.mark.parametrize("name", PRESETS)
def test_parts_of_a_preset(name: str) -> None:
    preset = compose_run([f"model={name}"])["model"]
    config = {**preset, "layers": 2, "dim": 32, "hidden": 32, "heads": 4, "distinct_layers": None}
    model = build(config if not check(config)[2] else preset, VOCABULARY, seed=0).eval()
    perturb(model)
    if sum(parameter.numel() for parameter in model.parameters()) < 1_000_000:
        check_all(model)
    else:  # a preset that has no smaller form: one of each kind
        before = hidden(model)
        for target in {target.kind: target for target in list_targets(model)}.values():
            assert not torch.equal(hidden(model, target.name), before)
        assert torch.equal(hidden(model), before)


@pytest.mark.parametrize(("slot", "name"), PARTS, ids=[f"{slot}-{name}" for slot, name in PARTS])
def test_parts_of_a_model_with_a_component(slot: str, name: str) -> None:
    for variant in VARIANTS:
        config = build_config(slot, {"name": name}, variant)
        if not check(config)[2]:
            model = build(config, VOCABULARY, seed=0).eval()
            perturb(model)
            check_all(model)


def test_a_head_is_off_as_if_its_values_were_zero(built: Callable[..., Variant]) -> None:
    """From the other side than the output projection: values of head 2 of 4, of a width of 4."""
    model = built()
    plain = copy.deepcopy(model)
    plain.get_stacks()["decoder"].list_applied_layers()[1].attention.value.weight.data[8:12] = 0  # type: ignore
    if (bias := plain.get_stacks()["decoder"].list_applied_layers()[1].attention.value.bias) is not None:  # type: ignore
        bias.data[8:12] = 0
    torch.testing.assert_close(hidden(model, "layer.1.attention.head.2"), hidden(plain))


def test_a_norm_is_off_as_an_identity(built: Callable[..., Variant]) -> None:
    model = built("encoder", input_norm=True)
    for name, place in (("layer.1.norm.0", "layers.1.residual.norms.0"), ("final_norm", ""), ("input_norm", "")):
        plain = copy.deepcopy(model)
        stack = plain.get_stacks()["encoder"]
        if place:
            stack.list_applied_layers()[1].residual.norms[0] = nn.Identity()  # type: ignore[index,operator]
        else:
            setattr(stack, name, nn.Identity())
        assert torch.equal(hidden(model, name), hidden(plain))


def run_by_hand(model: Variant, off: int) -> Tensor:
    """A decoder with pre-norm, layer by layer; the layer ``off`` hands on what its sublayers return, alone."""
    stack = model.get_stacks()["decoder"]
    tokens = torch.randint(VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(0))
    seen: list[Any] = []
    handle = stack.list_applied_layers()[0].register_forward_hook(lambda layer, given, output: seen.append(given))
    with torch.no_grad():
        model.compute_hidden(Inputs(tokens))
        handle.remove()
        x, mask, position, *_ = seen[0]
        for number, layer in enumerate(stack.list_applied_layers()):
            first, second = layer.residual.norms  # type: ignore[misc]
            given = first(x)  # type: ignore[operator]
            mixed = layer.attention(given, given, mask, position)  # type: ignore[misc]
            stored = layer.ffn(second(x + mixed), mask.query)  # type: ignore[misc,operator]
            x = mixed + stored if number == off else x + mixed + stored
        assert stack.final_norm is not None
        return stack.final_norm(x)


def test_a_residual_connection_is_off(built: Callable[..., Variant]) -> None:
    model = built(layers=3)
    torch.testing.assert_close(hidden(model), run_by_hand(model, -1))
    torch.testing.assert_close(hidden(model, "layer.1.residual"), run_by_hand(model, 1))


def test_one_of_the_layers_that_share_weights_is_off(built: Callable[..., Variant]) -> None:
    """Layer 2 of 4 applications of one layer: as in a copy whose layers have weights of their own."""
    model = built(layers=4, distinct_layers=1)
    plain = built(layers=4)
    apart = copy.deepcopy(plain)
    weights = model.state_dict()
    apart.load_state_dict(
        {
            key: weights[key if key in weights else ".".join([*key.split(".")[:2], "0", *key.split(".")[3:]])]
            for key in apart.state_dict()
        }
    )
    torch.testing.assert_close(hidden(model), hidden(apart))
    for name in ("layer.2.attention", "layer.2.attention.head.1", "layer.2.ffn", "layer.2.norm.1", "layer.2.residual"):
        torch.testing.assert_close(hidden(model, name), hidden(apart, name))
        assert not torch.equal(hidden(model, name), hidden(model, name.replace("2", "1", 1)))


def test_hooks_are_removed_after_an_error(built: Callable[..., Variant]) -> None:
    model = built()
    with pytest.raises(ZeroDivisionError), switch_off(model, "layer.0.residual"):
        raise ZeroDivisionError
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_view_ranks_losses_and_tells_what_is_written(variant: str, speaker: Speaker) -> None:
    model, prompting = speaker(variant)
    view = measure_ablations(model, prompting, "a text", tokens=6, texts=3)
    heads = 3 * 8 if variant == "encoder_decoder" else 8
    assert len(view.ablations) == heads + (2 * 2 + 2 * 3 if variant == "encoder_decoder" else 4)
    batch = build_text_batch(model, prompting, ["a text"])
    with torch.no_grad():
        assert view.loss == pytest.approx(float(compute_text_loss(model, batch)))
        for ablation in view.ablations:
            with switch_off(model, ablation.target.name):
                assert ablation.loss == pytest.approx(float(compute_text_loss(model, batch)))
            assert ablation.change == pytest.approx((ablation.loss or 0) - (view.loss or 0))
    changes = [ablation.change or 0.0 for ablation in view.ablations]
    assert changes == sorted(changes, reverse=True)
    assert changes[0] > 0
    texts = [ablation.text for ablation in view.ablations]
    if variant == "encoder":
        assert not any([view.text, *texts])
    else:
        assert view.text == generate(model, prompting, ["a text"], tokens=6)[0]
        with switch_off(model, view.ablations[0].target.name):
            assert texts[0] == generate(model, prompting, ["a text"], tokens=6, cached=False)[0]
        assert texts[0] != view.text
        assert texts[3:] == [None] * len(texts[3:])
    json.dumps(asdict(view), allow_nan=False)


def test_named_parts_are_measured(speaker: Speaker) -> None:
    model, prompting = speaker()
    names = ["layer.1.residual", "final_norm", "layer.0.norm.1"]
    view = measure_ablations(model, prompting, "a text", names, tokens=0)
    assert sorted(ablation.target.name for ablation in view.ablations) == sorted(names)
    assert view.text is None


def test_groups_name_all_of_a_kind(built: Callable[..., Variant]) -> None:
    model = built()
    names = [target.name for target in find_targets(model, ["residuals", "layer.0.ffn", "norms", "layer.0.ffn"])]
    residuals, norms = ["layer.0.residual", "layer.1.residual"], [f"layer.{i}.norm.{j}" for i in (0, 1) for j in (0, 1)]
    assert names == [*residuals, "layer.0.ffn", *norms, "final_norm"]
    bare = built(attention={"name": "gru"}, position={"name": "none"})
    with pytest.raises(Refused, match="heads: the model has none that could be switched off"):
        find_targets(bare, ["heads"])
    with pytest.raises(Refused, match="there is no 'residual': did you mean residuals"):
        find_targets(model, ["residual"])


def test_a_page_takes_as_many_parts_as_a_moment_allows(speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    model, prompting = speaker()
    found = build_ablation_view(model, prompting, "a text")
    assert found is not None
    assert (len(found["ablations"]), found["heads"]) == (12, 0)
    passing = model.flops(len(prompting.encode("a text", model.vocabulary)), 0)
    monkeypatch.setattr(ablation_view, "OPERATIONS", 4 * passing)
    fewer = build_ablation_view(model, prompting, "a text")
    assert fewer is not None
    assert (len(fewer["ablations"]), fewer["heads"]) == (4, 8)
    monkeypatch.setattr(ablation_view, "OPERATIONS", 3 * passing)
    assert build_ablation_view(model, prompting, "a text") is None
    named = build_ablation_view(model, prompting, "a text", ["residuals"])
    assert named is not None
    assert (len(named["ablations"]), named["heads"]) == (2, 0)
    assert build_ablation_view(*speaker("encoder", head=None), "a text") is None
    assert build_ablation_view(*speaker(), "a") is None


def test_texts_end_where_positions_end(speaker: Speaker) -> None:
    model, prompting = speaker(position={"name": "learned", "length": 8})
    view = measure_ablations(model, prompting, "a text", ["layer.0.ffn"], tokens=24)
    assert view.text == generate(model, prompting, ["a text"], tokens=3)[0]
    assert measure_ablations(model, prompting, "12345678", ["layer.0.ffn"], tokens=1).text is not None


@pytest.mark.parametrize(
    ("variant", "name", "message"),
    [
        ("decoder", "layer.9.ffn", "layer.9.ffn: must be a number between 0 and 1 in layer: got '9'"),
        (
            "decoder",
            "layer.1.atention",
            "there is no 'atention' in layer.1: did you mean attention? choices: attention,",
        ),
        ("decoder", "layer.0.attention.head.4", "between 0 and 3 in layer.0.attention.head: got '4'"),
        ("decoder", "layer.0", "a part of it must be named: choices: attention, ffn, norm, residual"),
        ("decoder", "layer.0.ffn.head.0", "Mlp has no heads that could be switched off one by one"),
        ("encoder_decoder", "layer.0.ffn", "there is no 'layer': choices: decoder, encoder"),
        ("encoder_decoder", "encoder.layer.0.cross", "there is no 'cross' in encoder.layer.0: choices: attention"),
        ("decoder", "", "there is no '': choices: final_norm, layer"),
    ],
)
def test_unknown_names_are_refused_with_a_suggestion(
    variant: str, name: str, message: str, built: Callable[..., Variant]
) -> None:
    with pytest.raises(Refused) as refused, switch_off(built(variant), name):
        pass
    assert message in str(refused.value)


def test_attentions_without_heads_refuse(built: Callable[..., Variant]) -> None:
    model = built(attention={"name": "gru"}, position={"name": "none"})
    with pytest.raises(Refused, match=r"layer\.0\.attention\.head\.0: Gru has no heads that could be switched off"):
        find_target(model, "layer.0.attention.head.0")
    assert find_target(model, "layer.0.attention").kind == "sublayer"


def test_models_without_residual_connections_refuse(built: Callable[..., Variant]) -> None:
    with pytest.raises(Refused, match=r"there is no residual connection in layer\.0, whose residual component is none"):
        find_target(built(residual={"name": "none"}), "layer.0.residual")


def test_pairs_of_differential_heads_are_switched(built: Callable[..., Variant]) -> None:
    """Its four query heads form two pairs, each with the values of one head of twice the width."""
    names = [target.name for target in list_targets(built(attention={"name": "differential"}))]
    assert [name for name in names if name.startswith("layer.0.attention.head")] == [
        "layer.0.attention.head.0",
        "layer.0.attention.head.1",
    ]
    assert replace(find_target(built(), "layer.0.attention.head.3"), name="").number == 3

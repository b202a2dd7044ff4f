"""What a model costs: against closed forms, torch's own counts, and what really is kept on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from zoo.components.ffn.mlp import Mlp
from zoo.config.compose import compose_run
from zoo.model.build import assemble, build, check
from zoo.model.cost import build_on_meta, build_tree, compute_cost, count_buffers, measure_modules
from zoo.model.footprint import measure_activations, measure_saved_tensors
from zoo.model.inputs import Inputs
from zoo.model.interfaces import FeedForward
from zoo.model.mask import Tokens
from zoo.model.variants.variant import Variant

PRESETS = ("gpt", "bert", "llama", "transformer")
LENGTH, SOURCE, VOCABULARY = 12, 9, 48


def preset(name: str, *overrides: str) -> Any:
    _, plan, problems = check(compose_run([f"model={name}/tiny", *overrides])["model"])
    assert plan is not None
    assert not problems
    return plan


def on_meta_of(config: dict[str, Any]) -> Variant:
    _, plan, problems = check(config)
    assert plan is not None
    assert not problems
    return build_on_meta(plan, VOCABULARY)


def rows(model: Variant, length: int = LENGTH, source: int = SOURCE, device: str = "meta") -> Inputs:
    read = torch.ones(1, source, dtype=torch.long, device=device) if len(model.get_stacks()) > 1 else None
    return Inputs(torch.ones(1, length, dtype=torch.long, device=device), source=read)


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for part in node["modules"].values():
        yield from nodes(part)


# ---------------------------------------------------------------------------------------------------------- parameters


def test_gpt_tiny_has_the_parameters_of_its_closed_form() -> None:
    """Embedding and positions, and per layer: four projections, two feed-forward matrices, biases, two norms."""
    plan = preset("gpt")
    d, h, layers, positions, vocabulary = 128, 512, 2, 1024, 1000
    layer = 4 * d * d + 4 * d + 2 * d * h + h + d + 2 * 2 * d
    expected = (vocabulary + positions) * d + layers * layer + 2 * d
    assert compute_cost(build_on_meta(plan, vocabulary), 64, 64).parameters == expected
    assert sum(p.numel() for p in assemble(plan, vocabulary).parameters()) == expected


def test_the_tree_counts_every_parameter_once(tiny: Callable[..., dict[str, Any]]) -> None:
    for over in ({"head": {"tied": True}}, {"head": {"tied": False}}):
        model = build(tiny(**over), 32)
        counted = build_tree(model)
        assert counted["parameters"] == sum(p.numel() for p in model.parameters())
        assert counted["parameters"] == sum(part["parameters"] for part in counted["modules"].values())


def test_all_parameters_of_a_model_without_routers_are_active(tiny: Callable[..., dict[str, Any]]) -> None:
    found = compute_cost(build(tiny(), 32), 8, 8)
    assert found.active_parameters == found.parameters
    assert all(node["active_parameters"] == node["parameters"] for node in nodes(build_tree(build(tiny(), 32))))


@pytest.mark.parametrize(("router", "expected"), [({"correction": 0.001}, 3 * 6), ({}, 0)])
def test_buffers_are_what_is_saved_beside_the_parameters(
    router: dict[str, Any], expected: int, tiny: Callable[..., dict[str, Any]]
) -> None:
    """A router's correction is a number for each expert of each layer; without one there is nothing."""
    model = build(tiny(layers=3, ffn={"name": "moe", "experts": 6, "router": router}), 32)
    assert count_buffers(model) == expected


class Half(FeedForward):
    """Two perceptrons, of which a token takes one."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = torch.nn.ModuleList(Mlp(8, 8, bias=False) for _ in range(2))

    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        out: Tensor = self.experts[0](x, tokens)
        return out

    def count_active_parameters(self) -> int:
        return 2 * 8 * 8


def test_idle_parameters_are_told_where_they_are_declared() -> None:
    outer = torch.nn.Sequential(Half(), torch.nn.Linear(8, 8))
    counted = build_tree(outer)
    assert (counted["parameters"], counted["active_parameters"]) == (4 * 64 + 72, 2 * 64 + 72)
    half = counted["modules"]["0"]
    assert (half["parameters"], half["active_parameters"]) == (4 * 64, 2 * 64)
    assert {node["active_parameters"] for part in half["modules"].values() for node in nodes(part)} == {None}


# ---------------------------------------------------------------------------------------------------------- operations


@pytest.mark.parametrize("variant", ["decoder", "encoder", "encoder_decoder"])
def test_operations_are_thrice_those_of_a_forward_pass(variant: str, tiny: Callable[..., dict[str, Any]]) -> None:
    model = on_meta_of(tiny(variant))
    with FlopCounterMode(display=False) as counter:
        model.logits(model.compute_hidden(rows(model)))
    found = compute_cost(model, LENGTH, SOURCE)
    read = LENGTH + (SOURCE if variant == "encoder_decoder" else 0)
    assert (found.length, found.source) == (LENGTH, read - LENGTH)
    counted = counter.get_total_flops()
    if variant != "encoder":  # torch counts the masked half of causal scores too
        heads, width = 4, 4
        pairs = LENGTH * (LENGTH - 1) // 2
        counted -= 2 * 2 * 2 * pairs * heads * width  # two layers, scores and their average
    assert found.flops_per_token == round(3 * counted / read)


@pytest.mark.parametrize("name", PRESETS)
def test_operations_of_presets_are_counted_ones(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward and backward, where all pairs are seen: the counter counts hidden pairs too."""
    model = build_on_meta(preset(name), VOCABULARY)
    monkeypatch.setattr(model.reader, "causal", False)
    counted = {}
    with FlopCounterMode(display=False) as counter:
        logits = model.logits(model.compute_hidden(rows(model)))
    counted["forward"] = counter.get_total_flops()
    with FlopCounterMode(display=False) as counter:
        logits.sum().backward()
    counted["backward"] = counter.get_total_flops()
    assert measure_modules(model, LENGTH, SOURCE)["flops"] == counted


@pytest.mark.parametrize("name", PRESETS)
def test_operations_by_module_add_up(name: str) -> None:
    model = build_on_meta(preset(name), VOCABULARY)
    found = measure_modules(model, LENGTH, SOURCE)
    assert found["flops"]["forward"] == model.flops(LENGTH, SOURCE)
    mlp = next(node for node in nodes(found) if node["class"] in ("Mlp", "Gated"))
    ffn = next(iter(model.get_stacks().values())).list_applied_layers()[0].ffn
    assert ffn is not None
    read = SOURCE if name == "transformer" else LENGTH
    assert mlp["flops"]["forward"] == 2 * read * sum(p.numel() for p in ffn.parameters() if p.ndim == 2)
    assert mlp["modules"]["up"]["flops"] is None


# -------------------------------------------------------------------------------------------------------------- caches


@pytest.mark.parametrize(
    ("name", "over"),
    [
        ("gpt", ()),
        ("llama", ("model.attention.kv_heads=1",)),
        ("transformer", ()),
        ("gpt", ("model.exceptions.local={first: 1, attention: {scores: {window: 5}}}",)),
    ],
)
@torch.no_grad()
def test_cache_bytes_are_those_of_decoding(name: str, over: tuple[str, ...]) -> None:
    plan = preset(name, *over)
    model = assemble(plan, VOCABULARY).eval()
    given = rows(model, device="cpu")
    caches = model.reader.create_caches(LENGTH, SOURCE)
    for at in range(LENGTH):
        source = given.source if at == 0 else None
        model.compute_hidden(Inputs(given.tokens[:, at : at + 1], start=at, source=source), caches)
    held = [memory for cache in caches for memory in (cache.attention, cache.cross) if memory is not None]
    found = measure_modules(build_on_meta(plan, VOCABULARY), LENGTH, SOURCE)
    assert found["cache_bytes"] == sum(memory.bytes for memory in held)
    assert found["cache_bytes"] > 0


def test_a_further_token_costs_keys_and_values_where_there_is_no_window() -> None:
    """llama/tiny: two layers of two key and value heads of 32 features; a window of five keeps what it has."""
    whole = measure_modules(build_on_meta(preset("llama"), VOCABULARY), LENGTH, 0)
    local = "model.exceptions.local={first: 1, attention: {scores: {window: 5}}}"
    half = measure_modules(build_on_meta(preset("llama", local), VOCABULARY), LENGTH, 0)
    assert whole["cache_bytes_per_token"] == 2 * (2 * 2 * 32 * 4)
    assert half["cache_bytes_per_token"] == 2 * 2 * 32 * 4
    assert half["cache_bytes"] == (LENGTH + 5) * 2 * 2 * 32 * 4


def test_a_model_at_its_limit_has_a_cost_for_its_last_token() -> None:
    model = build_on_meta(preset("gpt", "model.position.length=16"), VOCABULARY)
    assert measure_modules(model, 16, 0)["cache_bytes_per_token"] == 2 * (2 * 128 * 4)


def test_an_encoder_remembers_nothing() -> None:
    assert measure_modules(build_on_meta(preset("bert"), VOCABULARY), LENGTH, 0)["cache_bytes"] == 0


# --------------------------------------------------------------------------------------------------------- activations


@pytest.mark.parametrize(("activation", "hidden_kept"), [("relu", 1), ("gelu", 2), ("silu", 2), ("identity", 1)])
def test_a_perceptron_keeps_its_input_and_what_its_activation_needs(activation: Any, hidden_kept: int) -> None:
    """The derivative of relu is known from its result, which the next matrix keeps anyway; gelu needs its input."""
    dim, hidden, length = 6, 10, 7
    with torch.device("meta"):
        mlp = Mlp(dim, hidden, activation=activation, bias=True)
        x = torch.empty(1, length, dim, requires_grad=True)
    kept = measure_saved_tensors(mlp, lambda: mlp(x, Tokens.from_length(length)))
    assert sum(kept.values()) == 4 * length * (dim + hidden_kept * hidden)
    assert kept[mlp.up] == 4 * length * dim


def kept_on_a_cpu(model: Variant) -> int:
    storages: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        storages.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = model.logits(model.compute_hidden(rows(model, device="cpu")))
    assert logits.requires_grad
    standing = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
    return sum(item.untyped_storage().nbytes() for place, item in storages.items() if place not in standing)


@pytest.mark.parametrize(
    ("name", "over"),
    [
        ("gpt", ()),
        ("gpt", ("model/position=alibi",)),
        ("bert", ("model.dropout=0", "model.attention.scores.dropout=0")),
        ("llama", ("model.layers=3",)),
        ("llama", ("model.exceptions.local={first: 1, attention: {scores: {window: 5}}}",)),
        ("transformer", ("model.dropout=0",)),
        ("transformer", ("model.attention.scores={dropout: 0}", "model.dropout=0.2")),
    ],
)
def test_activations_are_what_a_cpu_keeps(name: str, over: tuple[str, ...]) -> None:
    plan = preset(name, *over)
    assert measure_modules(build_on_meta(plan, VOCABULARY), LENGTH, SOURCE)["activation_bytes"] == kept_on_a_cpu(
        assemble(plan, VOCABULARY)
    )


def test_what_layers_share_counts_for_their_stack() -> None:
    """The first layer saves the rotary tables; its attention needs no more than that of the others."""
    model = build_on_meta(preset("llama", "model.layers=3"), VOCABULARY)
    found = measure_activations(model, LENGTH, SOURCE)
    assert len({found[layer.attention] for layer in model.reader.list_distinct_layers() if layer.attention}) == 1
    assert found[model.reader] > 0


def test_of_layers_that_are_alike_two_are_run(tiny: Callable[..., dict[str, Any]]) -> None:
    """The sum is that of running all of them; afterwards they are all there."""
    local = {"at": [1, 3], "attention": {"scores": {"window": 5}}}
    model = on_meta_of(tiny(layers=6, exceptions={"local": local, "wide": {"last": 1, "hidden": 40}}))
    layers = list(model.reader.layers)
    runs: list[torch.nn.Module] = []
    for layer in layers:
        layer.register_forward_pre_hook(lambda module, given: runs.append(module))
    found = measure_activations(model, LENGTH, 0)
    assert runs == [layers[0], layers[1], layers[2], layers[3], layers[5]]
    assert list(model.reader.layers) == layers
    assert sum(found.values()) == sum(
        measure_saved_tensors(model, lambda: model.logits(model.compute_hidden(rows(model)))).values()
    )


def test_shared_layers_cost_their_parameters_once(tiny: Callable[..., dict[str, Any]]) -> None:
    shared, apart = (
        measure_modules(on_meta_of(tiny(layers=4, distinct_layers=number)), LENGTH, 0)["modules"]["stack"]
        for number in (1, 4)
    )
    one, four = (node["modules"]["layers"]["modules"] for node in (shared, apart))
    assert (len(one), len(four)) == (1, 4)
    assert one["0"]["parameters"] == four["0"]["parameters"]
    for figure in ("flops", "cache_bytes", "cache_bytes_per_token", "activation_bytes"):
        assert shared[figure] == apart[figure]
    assert one["0"]["cache_bytes"] == 4 * four["0"]["cache_bytes"]

"""The view of parameters: counted again from the weights themselves, and from caches that are filled."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from zoo.checks import Refused
from zoo.config.compose import compose_run
from zoo.config.groups import list_choices
from zoo.inspect.parameters import LENGTHS, ParameterView, measure_parameters
from zoo.model.build import check
from zoo.model.cost import build_on_meta, measure_cache_bytes
from zoo.model.plan import ModelPlan

PRESETS = [name for name in list_choices("model") if "/" not in name and name != "hub"]
VOCABULARY = 50


def plan_of(config: dict[str, Any]) -> ModelPlan:
    _, plan, problems = check(config)
    assert plan is not None
    assert not problems
    return plan


def measured(config: dict[str, Any], **over: Any) -> ParameterView:
    return measure_parameters(plan_of(config), VOCABULARY, **over)


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_of_a_preset(name: str) -> None:
    """Shares are those of the weights by the names of their modules; caches are those of a row that was read."""
    config = compose_run([f"model={name}"])["model"]
    view = measured(config, lengths=(3, 40, 200))
    model = build_on_meta(plan_of(config), VOCABULARY)
    sizes = dict.fromkeys(("attention", "ffn", "embedding", "head", "other"), 0)
    for path, parameter in model.named_parameters():
        words = path.split(".")
        found = {"cross": "attention"}.get(
            group := next((w for w in words if w in ("attention", "cross", "ffn", "head")), "other"), group
        )
        sizes["embedding" if words[0].endswith("embedding") else found] += parameter.numel()
    assert view.parameters == sum(sizes.values())
    assert view.shares == pytest.approx({group: size / view.parameters for group, size in sizes.items()})
    inside = sizes["attention"] + sizes["ffn"] + sizes["other"]
    assert view.layer_shares["ffn"] == pytest.approx(sizes["ffn"] / inside)
    for row in view.growth:
        source = row.length if len(model.get_stacks()) > 1 else 0
        assert row.cache_bytes == measure_cache_bytes(model, row.length, source)
        assert row.flops_per_token == pytest.approx(model.flops(row.length, source) / (row.length + source))
    json.dumps(asdict(view), allow_nan=False)


def test_the_feed_forward_holds_two_thirds(tiny: Any) -> None:
    """Four matrices dim x dim in attention and two dim x 4 dim in the feed-forward, apart from norms and biases."""
    view = measured(tiny(dim=64, hidden=256, ffn={"name": "mlp", "bias": False}))
    assert view.layer_shares["ffn"] == pytest.approx(8 / 12, abs=0.01)
    assert view.layer_shares["attention"] == pytest.approx(4 / 12, abs=0.01)


@pytest.mark.parametrize(
    ("attention", "growth"),
    [("multi_head", 1024), ("retention", 1), ("gru", 1)],
)
def test_caches_of_keys_grow_and_states_do_not(attention: str, growth: int, tiny: Any) -> None:
    view = measured(tiny(attention={"name": attention}))
    assert [row.length for row in view.growth] == list(LENGTHS)
    assert view.growth[-1].cache_bytes == growth * view.growth[0].cache_bytes > 0


def test_a_window_bounds_the_cache_and_the_operations(tiny: Any) -> None:
    window = measured(tiny(attention={"name": "multi_head", "scores": {"window": 256}})).growth
    whole = measured(tiny()).growth
    assert [row.cache_bytes for row in window] == [min(row.length, 256) * whole[0].cache_bytes // 128 for row in window]
    assert window[-1].flops_per_token < 1.01 * window[-2].flops_per_token
    assert whole[-1].flops_per_token > 1.9 * whole[-2].flops_per_token


def test_lengths_end_where_positions_end(tiny: Any) -> None:
    view = measured(tiny(position={"name": "learned", "length": 300}))
    assert view.limit == 300
    assert [row.length for row in view.growth] == [128, 256, 300]


def test_an_encoder_has_no_cache(tiny: Any) -> None:
    assert not any(row.cache_bytes for row in measured(tiny("encoder")).growth)


def test_large_presets_need_no_memory() -> None:
    """Published: 46.7 billion parameters, 12.9 billion of them active."""
    plan = plan_of(compose_run(["model=mixtral/8x7b"])["model"])
    view = measure_parameters(plan, 1, lengths=(131_072,))
    assert view.parameters == pytest.approx(46.7e9, rel=1e-3)
    assert view.active_parameters == pytest.approx(12.9e9, rel=5e-3)


def test_lengths_are_positive(tiny: Any) -> None:
    with pytest.raises(Refused, match="length must be positive: got length=0"):
        measured(tiny(), lengths=(0,))

"""Matching: exact values by closed form, counted in models that are really made; and why no value is near enough."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.command import NUMBERS, ON_CPU, checked
from tests.conftest import tiny_config
from zoo.checks import Refused
from zoo.config.checking import check_run
from zoo.model.build import build
from zoo.study.match.integer_search import search_integer
from zoo.study.match.match_arm import TOLERANCE, match_arm
from zoo.study.match.quantities import count_train_tokens, measure_cost, measure_quantity, measure_row_shape
from zoo.study.plan.cell import Setting
from zoo.study.plan.controls import Matching

LINES = ("model=llama", "model.dim=32", "model.layers=1", "model.heads=2", "steps=30", "batch=8", *NUMBERS, *ON_CPU)


@functools.cache
def composed(*overrides: str) -> Setting:
    """An arm as a plan writes it."""
    return Setting("arm", "numbers", (*LINES, *overrides), checked(*LINES, *overrides))


def arm(run: Mapping[str, Any] | None = None, **model: Any) -> Setting:
    """An arm of this model; Hydra, which takes its time, has no part in it."""
    config = composed().checked.config
    found = check_run({**config.as_mapping(), **(run or {}), "model": {**config.model.options, **model}})
    found.require()
    return Setting("arm", "numbers", (), found)


def parameters(setting: Setting) -> int:
    """Counted in a model that is there."""
    model = build(setting.checked.config.model.options, measure_row_shape(setting.checked).vocabulary, seed=0)
    return sum(parameter.numel() for parameter in model.parameters())


# ---------------------------------------------------------------------------------------------------- exact values


@pytest.mark.parametrize("quantity", ["parameters", "active_parameters", "flops_per_token", "train_flops"])
def test_two_thirds_of_the_width_pay_for_a_gate(quantity: str) -> None:
    """Two matrices of dim * 96 are three of dim * 64."""
    baseline = arm(ffn={"name": "mlp"}, hidden=96)
    found, moved = match_arm(arm(hidden=96), baseline, Matching(quantity))
    assert (moved.quantity, moved.knob, moved.before, moved.after) == (quantity, "model.hidden", 96, 64)
    assert moved.why == ""
    assert moved.target == moved.reached == measure_quantity(found.checked, quantity)
    assert found.checked.plan is not None
    assert found.checked.plan.stacks[0].base.hidden == 64
    assert parameters(found) == parameters(baseline)


def test_what_is_moved_is_what_would_be_composed() -> None:
    """One more override, and the same run as if it had been written."""
    wide = composed("model.hidden=96")
    found, _ = match_arm(wide, arm(ffn={"name": "mlp"}, hidden=96), Matching("parameters"))
    assert found.overrides == (*wide.overrides, "model.hidden=64")
    assert found.checked.hash == checked(*found.overrides).hash
    assert (found.arm, found.task) == (wide.arm, wide.task)
    four = composed("model/ffn=moe", "model/attention=multi_head", "model.hidden=64")
    for knob, last in (("heads", ("model.heads=5", "model.head_dim=16")), ("experts", ("model.ffn.experts=5",))):
        more = {"heads": 5, "head_dim": 16} if knob == "heads" else {"ffn": {"name": "moe", "experts": 5}}
        same = {"ffn": {"name": "moe"}, "attention": {"name": "multi_head"}, "hidden": 64}
        found, _ = match_arm(four, arm(**{**same, **more}), Matching("parameters", knob))
        assert found.overrides == (*four.overrides, *last)
        assert found.checked.hash == checked(*found.overrides).hash


def test_what_is_not_written_is_four_times_the_width() -> None:
    _, moved = match_arm(arm(hidden=None), arm(hidden=64), Matching("parameters"))
    assert (moved.before, moved.after) == (128, 64)


def test_both_stacks_move() -> None:
    two = {"variant": "encoder_decoder", "layers": 2, "hidden": 60}
    found, moved = match_arm(arm(**two), arm(**two, ffn={"name": "mlp"}), Matching("parameters"))
    assert moved.after == 40
    assert parameters(found) == moved.target


def test_heads_that_share_keys_pay_for_layers() -> None:
    """A row's cache is keys and values, each layers * kv_heads * head_dim * length numbers of four bytes."""
    eight = {"heads": 8, "head_dim": 4}
    baseline = arm(**eight, layers=2)
    _, moved = match_arm(arm(**eight), baseline, Matching("cache_bytes", "kv_heads"))
    assert (moved.knob, moved.before, moved.after) == ("model.attention.kv_heads", 2, 4)
    assert moved.target == moved.reached == 2 * 2 * 2 * 4 * measure_row_shape(baseline.checked).length * 4


def test_active_experts_have_the_width_of_a_dense_layer_together() -> None:
    """3 * 32 * 96 is nearest to two experts of 3 * 32 * 47 and a router of 32 * 4; 48 each would be 128 too many."""
    moe = arm(ffn={"name": "moe", "experts": 4, "router": {"top_k": 2}}, hidden=96)
    _, moved = match_arm(moe, arm(hidden=96), Matching("active_parameters"))
    assert moved.after == 47
    assert moved.reached - moved.target == 2 * 3 * 32 * 47 + 32 * 4 - 3 * 32 * 96 == -64


def test_depth_width_and_steps_move() -> None:
    _, moved = match_arm(arm(), arm(layers=4), Matching("parameters", "depth"))
    assert (moved.knob, moved.before, moved.after) == ("model.layers", 1, 4)
    _, moved = match_arm(arm(dim=64), arm(), Matching("parameters", "width"))  # of odd widths two heads cannot be made
    assert (moved.knob, moved.before, moved.after) == ("model.dim", 64, 32)
    found, moved = match_arm(arm({"accumulate": 2}), arm(), Matching("train_flops", "steps"))
    assert (moved.knob, moved.before, moved.after) == ("steps", 30, 15)
    assert count_train_tokens(found.checked) == 15 * 2 * 8 * measure_row_shape(found.checked).length


def test_heads_move_without_their_size() -> None:
    """A head has four matrices of 32 * 16; a hidden feature has three of 32."""
    whole = {"attention": {"name": "multi_head"}}
    found, moved = match_arm(arm(**whole, hidden=64), arm(**whole, hidden=128), Matching("parameters", "heads"))
    assert (moved.before, moved.after, moved.reached) == (2, 5, moved.target)
    assert found.checked.config.model.options["head_dim"] == 16
    assert parameters(found) == moved.target


def test_what_is_near_enough_stays() -> None:
    near = arm(norm={"name": "layer"})
    found, moved = match_arm(near, arm(), Matching("parameters"))
    assert found is near
    assert moved.before == moved.after
    assert 0 < moved.mismatch < TOLERANCE
    assert moved.reached == parameters(near)


# ------------------------------------------------------------------------------------------------- why not nearer


def test_nothing_helps_where_there_is_no_feed_forward() -> None:
    without = arm(ffn={"name": "none"})
    found, moved = match_arm(without, arm(), Matching("parameters"))
    assert found is without
    assert moved.why == "parameters do not depend on model.hidden: ffn is none"
    assert moved.before == moved.after
    assert moved.mismatch < -TOLERANCE


def test_exceptions_with_a_width_of_their_own_do_not_move() -> None:
    own = arm(layers=2, exceptions={"all": {"at": [0, 1], "hidden": 32}})
    _, moved = match_arm(own, arm(layers=2, hidden=64), Matching("parameters"))
    told = "parameters do not depend on model.hidden: ffn is gated; model.exceptions.all.hidden is not changed"
    assert moved.why == told


def test_the_next_layer_is_too_much() -> None:
    baseline = arm(layers=3, hidden=64)
    found, moved = match_arm(arm(hidden=96), baseline, Matching("parameters", "depth"))
    assert moved.after == 2
    more, less = (parameters(each) / parameters(baseline) for each in (arm(layers=3, hidden=96), found))
    assert moved.mismatch == pytest.approx(less - 1)
    assert less < 1 - TOLERANCE
    assert moved.why == f"the next value of model.layers, 3, has {100 * (more - 1):.0f}\N{NO-BREAK SPACE}% more"


def test_the_smallest_is_too_much_and_the_largest_too_little() -> None:
    found, moved = match_arm(arm(layers=3), arm(hidden=1), Matching("parameters"))
    more = 100 * (parameters(found) / moved.target - 1)
    assert moved.after == 1
    assert moved.why == f"even model.hidden=1 has {more:.0f}\N{NO-BREAK SPACE}% more parameters"
    _, moved = match_arm(arm(), arm(layers=3), Matching("cache_bytes", "kv_heads"))
    assert moved.why == "even model.attention.kv_heads=2 has 67\N{NO-BREAK SPACE}% less cache bytes"


def test_what_cannot_be_asked_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        match_arm(arm(), arm(), Matching("parameter", "hiden"))
    one, two = str(refused.value).splitlines()
    assert one.startswith("match.quantity: unknown quantity 'parameter': did you mean parameters? choices: active_")
    assert two.startswith("match.knob: unknown knob 'hiden': did you mean hidden? choices: depth, experts")
    with pytest.raises(
        Refused, match=r"^match.knob: experts sets model.ffn.experts, but ffn=gated has no experts: got"
    ):
        match_arm(arm(), arm(hidden=32), Matching("parameters", "experts"))
    encoder = arm({"objective": {"name": None}}, variant="encoder")
    with pytest.raises(Refused, match=r"cache_bytes of the baseline arm must be above 0: got cache_bytes=0"):
        match_arm(arm(), encoder, Matching("cache_bytes"))


# ---------------------------------------------------------------------------------------------------- any two arms


@given(
    rises=st.dictionaries(st.integers(1, 60), st.integers(0, 9), min_size=1, max_size=40),
    target=st.integers(1, 400),
    data=st.data(),
)
@settings(deadline=None, max_examples=200)
def test_the_neighbours_of_any_growing_quantity_are_found(
    rises: dict[int, int], target: int, data: st.DataObject
) -> None:
    """Against a look at every value; values may be missing, and the quantity flat or steep."""
    places = sorted(rises)
    quantity = {place: sum(rises[other] for other in places if other <= place) ** 2 for place in places}
    look = quantity.get
    low, high = search_integer(look, data.draw(st.sampled_from(places)), 60, target)
    below = [place for place in places if quantity[place] < target]
    rest = [place for place in places if quantity[place] >= target]
    assert (low and low.value) == (below[-1] if below else None)
    assert (high and high.value) == (rest[0] if rest else None)


def test_a_straight_quantity_is_found_in_five_looks() -> None:
    asked = []

    def look(value: int) -> int:
        asked.append(value)
        return 12_345 + 768 * value

    low, high = search_integer(look, 1024, 1_024_000, 12_345 + 768 * 170.4)
    assert low is not None
    assert high is not None
    assert (low.value, high.value) == (170, 171)
    assert len(asked) <= 5


MODELS = st.fixed_dictionaries(
    {
        "variant": st.sampled_from(["decoder", "encoder_decoder"]),
        "dim": st.sampled_from([8, 16, 24]),
        "layers": st.integers(1, 3),
        "hidden": st.sampled_from([None, 5, 16, 100]),
        "ffn": st.sampled_from(
            [{"name": "mlp"}, {"name": "gated"}, {"name": "gated", "bias": True}, {"name": "moe", "experts": 3}]
        ),
        "attention": st.sampled_from([{"name": "multi_head"}, {"name": "grouped_query", "kv_heads": 2}]),
        "norm": st.sampled_from([{"name": "layer"}, {"name": "rms"}]),
        "exceptions": st.sampled_from([{}, {"one": {"first": 1, "ffn": {"name": "mlp"}}}]),
    }
)


@given(MODELS, MODELS)
@settings(deadline=None, max_examples=15)
def test_no_neighbour_is_nearer(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Judged by the parameters of models that are made."""
    written, baseline = arm(**tiny_config(**one)), arm(**tiny_config(**other))
    found, moved = match_arm(written, baseline, Matching("parameters"))
    target = parameters(baseline)
    assert (moved.target, moved.reached) == (target, parameters(found))
    assume(moved.after != moved.before)
    apart = abs(moved.reached - target)
    for beside in (moved.after - 1, moved.after + 1):
        if beside > 0:
            assert abs(parameters(arm(**tiny_config(**{**one, "hidden": int(beside)}))) - target) >= apart
    assert bool(moved.why) == (apart > TOLERANCE * target)


def test_costs_are_those_of_the_first_validation_rows() -> None:
    """Rows of pairs are as long as the longest of their batch."""
    few, many = arm({"batch": 1}).checked, arm().checked
    assert (
        measure_row_shape(few).length < measure_row_shape(many).length <= 64
    )  # the first row alone, or the longest of eight
    assert measure_cost(few).length == measure_row_shape(few).length
    assert measure_cost(few).flops_per_token < measure_cost(many).flops_per_token
    assert measure_cost(few).parameters == measure_cost(many).parameters

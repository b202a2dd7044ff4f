"""Forecasts of layouts against calculations by hand, from the published sizes of two models."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zoo.checks import Refused
from zoo.config.compose import compose_run
from zoo.inspect.layout import Device, Layout, Sizes, forecast_layout, measure_sizes
from zoo.model import build
from zoo.model.cost import build_on_meta


def measure(preset: str, vocabulary: int) -> Sizes:
    _, plan, problems = build.check(compose_run([f"model={preset}"])["model"])
    assert plan is not None, problems
    return measure_sizes(build_on_meta(plan, vocabulary), 4096)


LLAMA = Sizes(8_030_261_248, 0, 32, 0, 0, 4096, 6 * 8.03e9, 4e6)


def test_sizes_are_those_of_the_papers() -> None:
    llama = measure("llama3/8b", 128_256)
    assert (llama.parameters, llama.layers, llama.dim, llama.experts) == (8_030_261_248, 32, 4096, 0)
    deepseek = measure("deepseek_v3/671b", 129_280)
    assert (deepseek.layers, deepseek.mixtures, deepseek.top_k) == (61, 58, 8)
    assert deepseek.experts == 58 * 256 * 3 * 7168 * 2048
    assert deepseek.parameters == pytest.approx(671e9, rel=0.001)


def test_adam_needs_16_bytes_for_each_parameter_that_a_device_holds() -> None:
    for shards in (1, 8, 64):
        states = forecast_layout(LLAMA, Layout(data=64, fsdp=shards), 4096).states
        assert sum(states.values()) == pytest.approx(16 * 8_030_261_248 / shards)


def test_traffic_is_that_of_rings() -> None:
    ddp = forecast_layout(LLAMA, Layout(data=8), 4096).sent
    assert ddp["data"] == pytest.approx(2 * 7 / 8 * 2 * 8_030_261_248)
    fsdp = forecast_layout(LLAMA, Layout(data=8, fsdp=8), 4096).sent
    assert fsdp["data"] == pytest.approx(3 * 7 / 8 * 2 * 8_030_261_248)
    tensor = forecast_layout(LLAMA, Layout(tensor=8), 4096).sent
    assert tensor == {"tensor": 4 * 32 * 2 * 4096 * 4096 * 2 * 7 / 8, "expert": 0, "pipeline": 0, "data": 0}


def test_experts_are_held_once_for_each_group_of_devices() -> None:
    mixture = replace(LLAMA, parameters=100, experts=80, mixtures=2, top_k=3)
    found = forecast_layout(mixture, Layout(data=8, expert=4), 10)
    assert sum(found.states.values()) == 16 * (20 + 80 / 4)
    assert found.sent["data"] == 2 * 7 / 8 * 2 * 20 + 2 * 1 / 2 * 2 * 20
    assert found.sent["expert"] == 4 * 2 * 3 * 2 * 10 * 4096 * 3 / 4


def test_time_of_a_step() -> None:
    device = Device(flops=100e12, efficiency=0.5, fast=1e9, slow=1e8)
    one = forecast_layout(LLAMA, Layout(), 1000, device)
    assert one.seconds_apart == one.seconds_overlapped == pytest.approx(6 * 8.03e9 * 1000 / 50e12)
    near, far = (forecast_layout(LLAMA, Layout(data=size), 1000, device) for size in (8, 16))
    assert near.communication_seconds == pytest.approx(near.sent["data"] / 1e9)
    assert far.communication_seconds == pytest.approx(far.sent["data"] / 1e8)
    stages = forecast_layout(LLAMA, Layout(pipeline=4, micro_batches=13), 1000, device)
    assert stages.idle == 3 / 16


def test_layouts_that_do_not_fit_the_model_are_refused() -> None:
    with pytest.raises(Refused, match="expert needs a mixture of experts: got expert=2"):
        forecast_layout(LLAMA, Layout(data=2, expert=2), 10)
    with pytest.raises(Refused, match="pipeline must be at most layers=32: got 64"):
        forecast_layout(LLAMA, Layout(pipeline=64), 10)
    with pytest.raises(Refused, match="fsdp must divide data: got fsdp=3, data=8"):
        Layout(data=8, fsdp=3)

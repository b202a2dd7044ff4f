"""A GPU computes what the CPU does: every component in every place, every preset, every path of ``attend``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.gpu.needs import GPU
from zoo.components.position.alibi import Alibi
from zoo.components.position.none import NoPosition
from zoo.config.checking import check_run
from zoo.config.compose import compose_run
from zoo.config.groups import list_choices
from zoo.model.attend import Scores, attend
from zoo.model.build import build
from zoo.model.inputs import Inputs
from zoo.model.mask import Mask, Tokens
from zoo.model.schema import SLOTS
from zoo.model.variants.variant import Variant
from zoo.registry import get_index
from zoo.testing.subject import TOKENS, build_config, list_places, perturb

pytestmark = GPU

PRESETS = [name for name in list_choices("model") if "/" not in name and name != "hub"]
PARTS = [(kind, name) for kind in SLOTS for name in get_index().get_names(kind)]
ROWS, LENGTH, HEADS = 3, 17, 4


def inputs(model: Variant) -> Inputs:
    """Rows of which one is padded on the left."""
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(6, TOKENS, (ROWS, LENGTH), generator=draw)
    segment = torch.where(torch.arange(LENGTH) < torch.tensor([[4], [0], [0]]), -1, 0)
    if model.name == "encoder_decoder":
        return Inputs(tokens[:, :7].contiguous(), source=tokens, source_segment=segment)
    return Inputs(tokens, segment)


def on_gpu(given: Inputs) -> Inputs:
    tensors = {item.name: getattr(given, item.name) for item in fields(Inputs)}
    return replace(given, **{name: value.cuda() for name, value in tensors.items() if isinstance(value, Tensor)})


def computed(model: Variant, given: Inputs) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits of what is no padding, and the gradient of every parameter."""
    model.zero_grad()
    logits = model.logits(model.compute_hidden(given, None))
    real = logits if given.segment is None else logits[given.segment >= 0]
    weight = torch.linspace(-1, 1, real.numel(), dtype=real.dtype).view(real.shape).to(real.device)
    (real * weight).sum().backward()
    gradients = {name: p.grad.clone().cpu() for name, p in model.named_parameters() if p.grad is not None}
    return real.detach().cpu(), gradients


def assert_the_same_on_a_gpu(model: Variant) -> None:
    """In float64, so that what differs is at most the rounding of what components compute in float32."""
    model = model.double().eval()
    for module in model.modules():
        module.train(isinstance(module, nn.RNNBase))  # which on a GPU has no backward pass in evaluation
    perturb(model, scale=0.1)
    given = inputs(model)
    logits, gradients = computed(model, given)
    assert logits.std() > 0.01
    logits_there, gradients_there = computed(model.cuda(), on_gpu(given))
    assert_close(logits_there, logits, "logits")
    assert gradients.keys() == gradients_there.keys()
    for name, gradient in gradients.items():
        assert_close(gradients_there[name], gradient, name)


def assert_close(there: Tensor, here: Tensor, told: str, close: float = 1e-5) -> None:
    """To so much of the largest number, or of one."""
    size = max(1.0, float(here.abs().max()))
    difference = float((there.cpu().double() - here).abs().max())
    assert difference < close * size, f"{told}: {difference} of {size}"


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_every_component(kind: str, name: str) -> None:
    for place in list_places(kind, {"name": name}):
        assert_the_same_on_a_gpu(build(build_config(kind, {"name": name}, place), TOKENS, seed=0))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset(preset: str) -> None:
    config = check_run(compose_run([f"model={preset}"])).config.model.options
    assert_the_same_on_a_gpu(build({**config, "vocabulary": None}, TOKENS, seed=0))


def cases() -> Iterator[Any]:
    every = itertools.product(["whole", "padded", "packed", "empty"], [True, False], [None, 3], [None, 2.0])
    for row, causal, window, softcap in every:
        for sinks, bias, kv_heads in itertools.product([False, True], [False, True], [4, 2]):
            yield row, causal, window, softcap, sinks, bias, kv_heads


def segments(row: str, length: int) -> Tensor | None:
    number = torch.arange(length)
    return {
        "whole": None,
        "padded": torch.where(number < torch.tensor([[4], [0], [0]]), -1, 0),
        "packed": (number[None] >= torch.tensor([[5], [9], [1]])).long(),
        "empty": torch.where(torch.tensor([[True], [False], [False]]), -1, 0).repeat(1, length),
    }[row]


@pytest.mark.parametrize(("length", "width"), [(17, 16), (64, 64)], ids=["odd", "even"])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)], ids=["float", "bfloat"])
def test_every_path_of_attend(length: int, width: int, dtype: torch.dtype, close: float) -> None:
    """The kernels that a GPU has for these, forward and backward, against the same formula in float64 on the CPU."""
    for row, causal, window, softcap, sinks, bias, kv_heads in cases():
        draw = torch.Generator().manual_seed(1)
        shapes = [(ROWS, HEADS, length, width), *[(ROWS, kv_heads, length, width)] * 2, (HEADS,)][: 4 if sinks else 3]
        given = [torch.randn(shape, generator=draw, dtype=torch.float64).to(dtype).double() for shape in shapes]
        maker = Alibi if bias else NoPosition
        found = []
        for device, kind in (("cpu", torch.float64), ("cuda", dtype)):
            segment = segments(row, length)
            tokens = Tokens.from_length(length, segment=None if segment is None else segment.to(device), device=device)
            leaves = [tensor.to(device, kind).requires_grad_() for tensor in given]
            position = maker(HEADS * width, HEADS, width, causal).to(device)
            mask = Mask(tokens, tokens, causal=causal)
            out = attend(*leaves[:3], mask, position, Scores(window, softcap), leaves[3] if sinks else None)
            weight = torch.linspace(-1, 1, out.numel(), device=device, dtype=kind).view_as(out)
            found.append([out.detach(), *torch.autograd.grad((out * weight).sum(), leaves)])
        for there, here in zip(found[1], found[0], strict=True):
            told = f"{row=}, {causal=}, {window=}, {softcap=}, {sinks=}, {bias=}, {kv_heads=}"
            assert_close(there, here, told, close)

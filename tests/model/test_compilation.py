"""Layers compiled for training, against the same layers called as they are."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import Tensor
from torch._dynamo.utils import counters

from zoo.model.compilation import compile_function, find_graph_breaks
from zoo.model.inputs import Inputs
from zoo.model.schema import SLOTS
from zoo.model.variants.variant import Variant
from zoo.registry import get_index
from zoo.testing.subject import Subject, list_places

COMPONENTS = [(kind, name) for kind in SLOTS for name in get_index().get_names(kind)]


@pytest.fixture(autouse=True)
def backend(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """Compiles with the backend of a test, by default without generating code, which takes seconds."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=getattr(request, "param", "eager")))
    torch._dynamo.reset()
    counters.clear()
    compile_function.cache_clear()
    yield
    compile_function.cache_clear()


def train(model: Variant, inputs: Inputs) -> tuple[Tensor, dict[str, Tensor]]:
    """Hidden states and gradients of one pass of a training step."""
    torch.manual_seed(0)
    hidden = model.train().compute_hidden(inputs)
    terms = sum(term for _, term, _ in model.losses())
    (hidden.square().sum() + terms).backward()
    return hidden, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def compile_layers(model: Variant, is_dynamic: bool = False) -> Variant:
    compiled = copy.deepcopy(model)
    for stack in compiled.get_stacks().values():
        stack.compile_layers(is_dynamic)
    return compiled


def pack(subject: Subject, length: int) -> Inputs:
    """Two documents in a row, and padding in the other."""
    segment = torch.zeros(2, length, dtype=torch.long)
    segment[0, length // 2 :] = 1
    segment[1, -2:] = -1
    inputs = subject.make_inputs(length)
    return Inputs(inputs.tokens, segment, source=inputs.source)


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_every_component_trains_as_it_does_uncompiled(kind: str, name: str) -> None:
    """With packed rows, and as one graph unless the component declares what breaks it."""
    entry = get_index().get(kind, name)
    place = list_places(kind, {"name": name})[0]
    subject = Subject(entry, "model", {"name": name}, place)
    model, inputs = subject.build_model(layers=1), pack(subject, 12)
    compiled = compile_layers(model)
    torch.testing.assert_close(train(compiled, inputs), train(model, inputs))
    assert counters["stats"]["unique_graphs"] > 0
    breaks = sum(counters["graph_break"].values()) > 0
    assert breaks == bool(find_graph_breaks(model)) == bool(getattr(entry.load(), "graph_break", ""))


def build_subject(kind: str, name: str) -> Subject:
    return Subject(get_index().get(kind, name), "model", {"name": name}, "decoder")


def test_equal_layers_share_a_graph_at_every_step() -> None:
    """Rotary tables, which each forward pass makes anew, do not count as a change."""
    subject = build_subject("position", "rotary")
    compiled = compile_layers(subject.build_model(layers=3))
    for _ in range(3):
        train(compiled, pack(subject, 12))
    assert counters["stats"]["unique_graphs"] == 1
    train(compiled, pack(subject, 14))
    assert counters["stats"]["unique_graphs"] == 2, "a control: another length has a graph of its own"


def test_one_graph_serves_all_lengths_if_they_vary() -> None:
    subject = build_subject("attention", "grouped_query")
    model = subject.build_model(layers=1)
    compiled = compile_layers(model, is_dynamic=True)
    for length in (8, 12, 14):
        expected, seen = (train(each, pack(subject, length))[0] for each in (model, compiled))
        torch.testing.assert_close(seen, expected)
    assert counters["stats"]["unique_graphs"] == 1


def test_evaluation_and_copies_run_what_is_not_compiled_with_unchanged_weights() -> None:
    subject = build_subject("ffn", "mlp")
    model = subject.build_model()
    compiled = compile_layers(model)
    assert list(compiled.state_dict()) == list(model.state_dict())
    inputs = subject.make_inputs(6)
    assert torch.equal(compiled.eval().compute_hidden(inputs), model.eval().compute_hidden(inputs))
    assert counters["stats"]["unique_graphs"] == 0
    other = copy.deepcopy(compiled)
    with torch.no_grad():
        next(other.stack.layers.parameters()).add_(1.0)
    assert not torch.allclose(train(other, inputs)[0], train(compiled, inputs)[0]), "a copy has weights of its own"


@pytest.mark.parametrize("backend", ["inductor"], indirect=True)
def test_generated_code_computes_the_same(backend: None) -> None:
    subject = build_subject("ffn", "gated")
    model = subject.build_model(layers=1).float()
    inputs = pack(subject, 12)
    torch.testing.assert_close(train(compile_layers(model), inputs), train(model, inputs), rtol=1e-4, atol=1e-4)

"""What each parameter is, against a list written by hand and against torch's own modules."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn

from zoo.checks import Refused
from zoo.model.build import build
from zoo.model.parameter_roles import get_parameter_roles
from zoo.testing.subject import SMALL

# Of parameters whose number of axes misleads, or that no module of torch explains: what they are.
CASES = [
    (
        "attention",
        {"name": "differential"},
        {"lambda_query": "vector", "lambda_key": "vector", "query.weight": "matrix"},
    ),
    ("attention", {"name": "mamba2"}, {"step.bias": "vector", "step.log_rate": "vector", "skip": "vector"}),
    ("attention", {"name": "gru"}, {"network.weight_ih_l0": "matrix", "network.bias_hh_l0": "vector"}),
    ("attention", {"name": "synthesizer"}, {"table": "table"}),
    ("attention", {"name": "multi_head", "scores": {"sinks": True}}, {"sinks": "vector"}),
    ("ffn", {"name": "moe", "bias": True, "shared": 1, "shared_gate": True}, {"shared_gate.weight": "matrix"}),
    ("ffn", {"name": "moe", "bias": True}, {"experts.up.bias": "vector", "experts.up.weight": "matrix"}),
    ("residual", {"name": "hyper"}, {"connections.0.mix": "vector", "connections.0.weight": "matrix"}),
    ("residual", {"name": "layerscale"}, {"scales.0": "vector"}),
    ("residual", {"name": "highway"}, {"biases.0": "vector", "gates.0.weight": "matrix"}),
    ("position", {"name": "t5"}, {"table.weight": "table"}),
]


@pytest.mark.parametrize(("kind", "part", "expected"), CASES, ids=[f"{kind}-{part['name']}" for kind, part, _ in CASES])
def test_parameters_are_what_they_are_used_as(kind: str, part: dict[str, object], expected: dict[str, str]) -> None:
    with torch.device("meta"):
        model = build({"variant": "decoder", **SMALL, kind: part}, 32, seed=0)
    roles = get_parameter_roles(model)
    for name, role in expected.items():
        found = {r for full, r in roles.items() if full.endswith(f"{kind}.{name}") or full.endswith(f".{name}")}
        assert found == {role}, (name, list(roles))


def test_a_matrix_of_one_row_and_a_tied_head_count_once() -> None:
    model = nn.ModuleDict({"table": nn.Embedding(5, 4), "head": nn.Linear(4, 5, bias=False), "score": nn.Linear(4, 1)})
    model["head"].weight = model["table"].weight
    assert get_parameter_roles(model) == {"table.weight": "table", "score.weight": "matrix", "score.bias": "vector"}


def test_modules_of_torch_need_no_declaration() -> None:
    """LayerNorm and biases are vectors; of attention and convolutions the weights are matrices."""
    layer = nn.TransformerEncoderLayer(8, 2, 16)
    convolution = nn.Conv1d(3, 4, 2)
    for module in (layer, convolution):
        for name, role in get_parameter_roles(module).items():
            is_matrix = name.endswith("weight") and "norm" not in name
            assert role == ("matrix" if is_matrix else "vector"), name


class Stacked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(2, 3))


class Declared(Stacked):
    roles: ClassVar[dict[str, str]] = {"gain": "vector"}


class Outer(nn.Module):
    roles: ClassVar[dict[str, str]] = {"inner.gain": "table"}

    def __init__(self) -> None:
        super().__init__()
        self.inner = Stacked()


def test_what_nobody_explains_is_refused_and_a_declaration_decides() -> None:
    assert get_parameter_roles(Declared()) == {"gain": "vector"}
    assert get_parameter_roles(Outer()) == {"inner.gain": "table"}
    with pytest.raises(
        Refused, match=r'inner.gain \[2, 3\] of Stacked must have a role: .* roles = \{"gain": "matrix"\}'
    ):
        get_parameter_roles(nn.ModuleDict({"inner": Stacked()}))


def test_every_parameter_is_named_once() -> None:
    model = build({"variant": "encoder_decoder", **SMALL}, 32, seed=0)
    assert list(get_parameter_roles(model)) == [name for name, _ in model.named_parameters()]

"""First weights: the spread that each scheme promises, matrix by matrix."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from zoo.model.build import build, check
from zoo.model.variants.variant import Variant

Tiny = Callable[..., dict[str, Any]]
DIM, HIDDEN, LAYERS, TOKENS = 128, 512, 3, 600
SPREAD = {
    "normal": {"up": 0.05, "down": 0.05, "table": 0.05, "head": 0.05},
    "gpt2": {"up": 0.05, "down": 0.05 / math.sqrt(2 * LAYERS), "table": 0.05, "head": 0.05},
    "xavier": {
        "up": math.sqrt(2 / (DIM + HIDDEN)),
        "down": math.sqrt(2 / (DIM + HIDDEN)),
        "table": DIM**-0.5,
        "head": math.sqrt(2 / (DIM + TOKENS)),
    },
    "small": {
        "up": math.sqrt(2 / (5 * DIM)),
        "down": 2 / (LAYERS * math.sqrt(DIM)),
        "table": math.sqrt(2 / (5 * DIM)),
        "head": math.sqrt(2 / (5 * DIM)),
    },
    # A normal cut off at three standard deviations has 0.9866 of the spread.
    "scaled": {
        "up": 0.9866 * DIM**-0.5,
        "down": 0.9866 * HIDDEN**-0.5 / math.sqrt(2),
        "table": DIM**-0.5,
        "head": 0.9866 * DIM**-0.5,
    },
    "mup": {"up": 0.05 * math.sqrt(32 / DIM), "down": 0.05 * math.sqrt(32 / HIDDEN), "table": 0.05, "head": 0.05},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "normal": {"std": 0.05},
    "gpt2": {"std": 0.05},
    "mup": {"std": 0.05, "base_dim": 32},
}


def model_of(scheme: str, tiny: Tiny, **over: Any) -> Variant:
    config = tiny(
        dim=DIM,
        hidden=HIDDEN,
        layers=LAYERS,
        ffn={"name": "mlp", "bias": True},
        initialization={"name": scheme, **OPTIONS.get(scheme, {})},
        **over,
    )
    return build(config, TOKENS, seed=0)


def spread(weight: Any) -> float:
    assert isinstance(weight, Tensor)
    assert abs(float(weight.detach().mean())) < 0.05 * float(weight.detach().std())
    return float(weight.detach().std())


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("scheme", SPREAD)
def test_first_weights_have_their_spread(scheme: str, tied: bool, tiny: Tiny) -> None:
    model = model_of(scheme, tiny, head={"tied": tied, "bias": True})
    ffn: Any = model.reader.list_distinct_layers()[0].ffn
    expected = SPREAD[scheme]
    assert spread(ffn.up.weight) == pytest.approx(expected["up"], rel=0.02)
    assert spread(ffn.down.weight) == pytest.approx(expected["down"], rel=0.02)
    assert spread(model.embedding.table.weight) == pytest.approx(expected["table"], rel=0.02)
    assert not ffn.up.bias.any()
    assert (model.head.weight is model.embedding.table.weight) == tied
    if not tied:
        assert spread(model.head.weight) == pytest.approx(expected["head"], rel=0.02)


def test_the_tails_are_those_of_the_scheme(tiny: Tiny) -> None:
    ups = {scheme: model_of(scheme, tiny).reader.list_distinct_layers()[0].ffn.up.weight for scheme in SPREAD}  # type: ignore[union-attr]
    largest = {scheme: float(up.detach().abs().max() / up.detach().std()) for scheme, up in ups.items()}  # type: ignore[operator, union-attr, arg-type]
    assert largest.pop("xavier") <= math.sqrt(3) * 1.02  # uniform
    assert 2.9 < largest.pop("scaled") <= 3 / 0.9866 * 1.02
    assert all(value > 3.5 for value in largest.values())


@pytest.mark.parametrize("scheme", ["gpt2", "small", "scaled"])
def test_outputs_of_all_sublayers_know_the_depth(scheme: str, tiny: Tiny) -> None:
    """Attention's, cross-attention's and experts' too; cross-attention makes three sublayers of a decoder's layer."""
    config = {"attention": {"name": "multi_head"}, "ffn": {"name": "moe"}}
    models = [
        build(tiny("encoder_decoder", layers=LAYERS, **config, initialization={"name": name}), 32, seed=0)
        for name in ("normal", scheme)
    ]
    for stack, per_layer in (("encoder", 2), ("decoder", 3)):
        layers = [model.get_stacks()[stack].list_distinct_layers() for model in models]
        for number, (plain, other) in enumerate(zip(*layers, strict=True)):
            gain = {
                "gpt2": 1 / math.sqrt(per_layer * LAYERS),
                "small": math.sqrt(2 / (5 * 16)) / 0.02 * math.sqrt(10) / LAYERS,
                "scaled": None,
            }[scheme]
            for name in ("attention", "cross"):
                before, after = getattr(plain, name), getattr(other, name)
                if before is None:
                    assert (name, stack) == ("cross", "encoder")
                elif gain is not None:
                    torch.testing.assert_close(after.output.weight, before.output.weight * gain)
                else:
                    bound = 3 * 16**-0.5 / math.sqrt(2 * (number + 1))
                    assert 0.6 * bound < float(after.output.weight.detach().abs().max()) <= bound
            if gain is not None:
                torch.testing.assert_close(other.ffn.experts.down.weight, plain.ffn.experts.down.weight * gain)


def test_deepnorms_gain_comes_on_top(tiny: Tiny) -> None:
    plain, deep = (
        build(tiny(residual={"name": name}, initialization={"name": "gpt2"}), 32, seed=0).reader.list_distinct_layers()[
            0
        ]
        for name in ("post", "deepnorm")
    )
    gain = deep.residual.branch_gain
    assert gain < 1
    torch.testing.assert_close(deep.ffn.down.weight, plain.ffn.down.weight * gain)  # type: ignore[union-attr, operator]


def test_shared_layers_count_each_application(tiny: Tiny) -> None:
    one, other = (
        build(tiny(layers=layers, distinct_layers=1, initialization={"name": "gpt2"}), 32, seed=0) for layers in (1, 9)
    )
    down: list[Any] = [model.reader.list_distinct_layers()[0].ffn.down.weight for model in (one, other)]  # type: ignore[union-attr]
    torch.testing.assert_close(down[1], down[0] / 3)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"std": -1.0}, "model.initialization.std: std must be above 0 and at most 1: got std=-1.0"),
        ({"name": "gpt2", "std": 2.0}, "model.initialization.std: std must be above 0 and at most 1: got std=2.0"),
        ({"name": "mup", "base_dim": 0}, "model.initialization.base_dim: base_dim must be positive: got base_dim=0"),
    ],
)
def test_refused_options_come_with_their_path(options: dict[str, Any], line: str, tiny: Tiny) -> None:
    assert check(tiny(initialization=options))[2] == [line]


@pytest.mark.parametrize("options", [{"name": "xavier", "std": 0.1}, {"base_dim": 64}, {"scheme": "gpt2"}])
def test_options_of_another_initialization_are_refused(options: dict[str, Any], tiny: Tiny) -> None:
    (line,) = check(tiny(initialization=options))[2]
    assert line.startswith(f"model.initialization.{list(options)[-1]}: unknown key")


@pytest.mark.parametrize("scheme", SPREAD)
def test_every_scheme_works_without_memory(scheme: str, tiny: Tiny) -> None:
    with torch.device("meta"):
        assert next(model_of(scheme, tiny).parameters()).is_meta

"""Residual components against layers of transformers and the loops of their papers; forward and gradient."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import Dinov2Config, Gemma2Config, GPTJConfig, GPTNeoXConfig, ModernBertConfig, Olmo2Config
from transformers.models.dinov2.modeling_dinov2 import Dinov2Layer
from transformers.models.gemma2.modeling_gemma2 import Gemma2DecoderLayer
from transformers.models.gpt_neox.modeling_gpt_neox import GPTNeoXLayer
from transformers.models.gptj.modeling_gptj import GPTJBlock
from transformers.models.modernbert.modeling_modernbert import ModernBertEncoderLayer
from transformers.models.olmo2.modeling_olmo2 import Olmo2DecoderLayer

from zoo.checks import Refused
from zoo.components.norm.layer import LayerNorm
from zoo.components.norm.none import NoNorm
from zoo.components.norm.rms import RmsNorm
from zoo.components.residual.deepnorm import DeepNorm
from zoo.components.residual.highway import Highway
from zoo.components.residual.hyper import Connection, HyperConnections
from zoo.components.residual.inside import InsideNorm
from zoo.components.residual.layerscale import LayerScale
from zoo.components.residual.parallel import ParallelResidual
from zoo.components.residual.pre import PreNorm
from zoo.components.residual.rezero import ReZero
from zoo.components.residual.sandwich import SandwichNorm
from zoo.model.build import build
from zoo.model.inputs import Inputs
from zoo.model.interfaces import Norm, Residual, Sublayer
from zoo.model.mask import Mask, Tokens
from zoo.registry import get_index

DIM, HEADS, HIDDEN = 16, 4, 24
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
Tiny = Callable[..., dict[str, Any]]
Function = Callable[[Tensor], Tensor]


def tokens(length: int, dim: int = DIM, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(2, length, dim, generator=torch.Generator().manual_seed(0), dtype=dtype).requires_grad_()


def agree(ours: Function, theirs: Function, own: Sequence[Tensor], other: Sequence[Tensor], x: Tensor) -> None:
    """Outputs, and the gradients of x and of the weights, in pairs; no gradient may be zero."""
    outs = ours(x), theirs(x)
    torch.testing.assert_close(*outs, **CLOSE)
    weight = torch.linspace(-1, 1, outs[0].numel(), dtype=x.dtype).view_as(outs[0])
    pairs = [
        torch.autograd.grad((out * weight).sum(), [x, *given]) for out, given in zip(outs, (own, other), strict=True)
    ]
    for one, two in zip(*pairs, strict=True):
        assert two.any()
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


# ------------------------------------------------------------------------------------------- layers of transformers


def rms(width: int) -> Norm:
    return RmsNorm(width, eps=1e-6)


def gemma_rms(width: int) -> Norm:
    return RmsNorm(width, eps=1e-6, unit_offset=True)


def layer_norm(width: int) -> Norm:
    return LayerNorm(width, eps=1e-5)


def random_layer(made: Callable[..., nn.Module], config: Any, *more: Any) -> Any:
    config._attn_implementation = "eager"
    torch.manual_seed(1)
    layer = made(config, *more).eval()
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
    return layer


def copied(own: Sequence[Any], other: Sequence[nn.Module]) -> tuple[list[Tensor], list[Tensor]]:
    """Give our norms the weights of theirs."""
    for one, two in zip(own, other, strict=True):
        one.load_state_dict(two.state_dict())
    return [p for m in own for p in m.parameters()], [p for m in other for p in m.parameters()]


def angles(length: int, width: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of some rotation."""
    angle = torch.rand(1, length, width // 2, generator=torch.Generator().manual_seed(2)).repeat(1, 1, 2)
    return angle.cos(), angle.sin()


def sizes(**more: Any) -> dict[str, Any]:
    return {"hidden_size": DIM, "num_attention_heads": HEADS, "num_hidden_layers": 2, **more}


GATED = sizes(intermediate_size=HIDDEN, num_key_value_heads=HEADS, head_dim=DIM // HEADS, rms_norm_eps=1e-6)


@pytest.mark.parametrize("length", [1, 7])
def test_sandwich_is_a_layer_of_gemma_2(length: int) -> None:
    theirs = random_layer(Gemma2DecoderLayer, Gemma2Config(**GATED, query_pre_attn_scalar=4), 0)
    turned = angles(length, DIM // HEADS)
    ours = SandwichNorm(DIM, gemma_rms, 2, 0, 2)
    own, other = copied(
        [ours.before[0], ours.after[0], ours.before[1], ours.after[1]],
        [
            theirs.input_layernorm,
            theirs.post_attention_layernorm,
            theirs.pre_feedforward_layernorm,
            theirs.post_feedforward_layernorm,
        ],
    )
    shared = [*theirs.mlp.parameters(), *theirs.self_attn.o_proj.parameters()]
    parts: list[Sublayer] = [lambda x: theirs.self_attn(x, turned, attention_mask=None)[0], theirs.mlp]
    agree(lambda x: ours(x, parts), lambda x: theirs(x, turned), own + shared, other + shared, tokens(length))


@pytest.mark.parametrize("length", [1, 7])
def test_inside_is_a_layer_of_olmo_2(length: int) -> None:
    theirs = random_layer(Olmo2DecoderLayer, Olmo2Config(**GATED), 0)
    turned = angles(length, DIM // HEADS)
    ours = InsideNorm(DIM, rms, 2, 0, 2)
    own, other = copied(list(ours.norms), [theirs.post_attention_layernorm, theirs.post_feedforward_layernorm])
    shared = [*theirs.mlp.parameters(), *theirs.self_attn.o_proj.parameters()]
    parts: list[Sublayer] = [
        lambda x: theirs.self_attn(hidden_states=x, position_embeddings=turned, attention_mask=None)[0],
        theirs.mlp,
    ]
    reference: Function = lambda x: theirs(x, position_embeddings=turned)  # noqa: E731
    agree(lambda x: ours(x, parts), reference, own + shared, other + shared, tokens(length))


@pytest.mark.parametrize("number", [0, 1])
def test_pre_without_the_first_norm_is_a_layer_of_modernbert(number: int) -> None:
    theirs = random_layer(ModernBertEncoderLayer, ModernBertConfig(**sizes(intermediate_size=HIDDEN)), number)
    turned = angles(7, DIM // HEADS)
    ours = PreNorm(DIM, lambda width: LayerNorm(width, eps=1e-5, bias=False), 2, number, 2, first_norm=False)
    assert sum(1 for _ in ours.parameters()) == 1 + number
    own, other = copied(list(ours.norms), [theirs.attn_norm, theirs.mlp_norm])
    shared = [*theirs.mlp.parameters(), *theirs.attn.parameters()]
    parts: list[Sublayer] = [lambda x: theirs.attn(x, position_embeddings=turned)[0], theirs.mlp]
    reference: Function = lambda x: theirs(x, position_embeddings=turned)  # noqa: E731
    agree(lambda x: ours(x, parts), reference, own + shared, other + shared, tokens(7))


@pytest.mark.parametrize("length", [1, 7])
def test_parallel_with_a_norm_each_is_a_layer_of_gpt_neox(length: int) -> None:
    config = GPTNeoXConfig(**sizes(intermediate_size=HIDDEN), use_parallel_residual=True, layer_norm_eps=1e-5)
    theirs = random_layer(GPTNeoXLayer, config, 0)
    turned = angles(length, 2)
    ours = ParallelResidual(DIM, layer_norm, 2, 0, 2, norms="each")
    own, other = copied(list(ours.norms), [theirs.input_layernorm, theirs.post_attention_layernorm])
    shared = [*theirs.mlp.parameters(), *theirs.attention.dense.parameters()]
    parts: list[Sublayer] = [lambda x: theirs.attention(x, None, position_embeddings=turned)[0], theirs.mlp]
    reference: Function = lambda x: theirs(x, position_embeddings=turned)  # noqa: E731
    agree(lambda x: ours(x, parts), reference, own + shared, other + shared, tokens(length))


@pytest.mark.parametrize("length", [1, 7])
def test_parallel_is_a_layer_of_gpt_j(length: int) -> None:
    theirs = random_layer(GPTJBlock, GPTJConfig(n_embd=DIM, n_head=HEADS, n_inner=HIDDEN, rotary_dim=2), 0)
    places = torch.arange(length)[None]
    ours = ParallelResidual(DIM, layer_norm, 2, 0, 2)
    own, other = copied(list(ours.norms), [theirs.ln_1])
    shared = [*theirs.mlp.parameters(), *theirs.attn.out_proj.parameters()]
    parts: list[Sublayer] = [lambda x: theirs.attn(x, position_ids=places)[0], theirs.mlp]
    reference: Function = lambda x: theirs(x, position_ids=places)[0]  # noqa: E731
    agree(lambda x: ours(x, parts), reference, own + shared, other + shared, tokens(length))


@pytest.mark.parametrize("length", [1, 7])
def test_layerscale_is_a_layer_of_dino_2(length: int) -> None:
    config = Dinov2Config(**sizes(mlp_ratio=2), layerscale_value=0.1, layer_norm_eps=1e-5)
    theirs = random_layer(Dinov2Layer, config)
    ours = LayerScale(DIM, layer_norm, 2, 0, 2)
    assert torch.equal(ours.scales[0], Dinov2Layer(config).layer_scale1.lambda1)
    own, other = copied(list(ours.norms), [theirs.norm1, theirs.norm2])
    scales = [theirs.layer_scale1.lambda1, theirs.layer_scale2.lambda1]
    with torch.no_grad():
        for one, two in zip(ours.scales, scales, strict=True):
            one.copy_(two)
    shared = list(theirs.mlp.parameters())
    parts: list[Sublayer] = [lambda x: theirs.attention(x)[0], theirs.mlp]
    own, other = [*own, *ours.scales, *shared], [*other, *scales, *shared]
    agree(lambda x: ours(x, parts), theirs, own, other, tokens(length))


# ----------------------------------------------------------------------------------------------- loops of the papers


def normalized(x: Tensor) -> Tensor:
    return (x - x.mean(dim=-1, keepdim=True)) / (x.var(dim=-1, keepdim=True, unbiased=False) + 1e-5).sqrt()


def plain_norm(width: int) -> Norm:
    return LayerNorm(width, weight=False, bias=False)


def functions(count: int) -> tuple[list[Tensor], list[Sublayer]]:
    """Sublayers that mix tokens and features, and their weights."""
    generator = torch.Generator().manual_seed(3)
    weights = [torch.randn(DIM, DIM, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(count)]

    def make(weight: Tensor) -> Sublayer:
        return lambda x: torch.tanh(x @ weight / 2) + x.mean(dim=-2, keepdim=True)

    return weights, [make(weight) for weight in weights]


def follows(ours: Residual, formula: Callable[[Tensor, Sequence[Sublayer]], Tensor], count: int, length: int) -> None:
    """``ours`` with random weights, in float64, is the formula."""
    ours.double()
    torch.manual_seed(4)
    for parameter in ours.parameters():
        nn.init.normal_(parameter)
    weights, parts = functions(count)
    given = [*ours.parameters(), *weights]

    def run(x: Tensor) -> Tensor:
        return ours.narrow(ours(ours.widen(x), parts))

    agree(run, lambda x: formula(x, parts), given, given, tokens(length, dtype=torch.float64))


@pytest.mark.parametrize(("sublayers", "layers", "alpha"), [(2, 6, 12**0.25), (3, 6, 18**0.25), (2, 50, 100**0.25)])
def test_deepnorm_is_the_formula(sublayers: int, layers: int, alpha: float) -> None:
    def formula(x: Tensor, parts: Sequence[Sublayer]) -> Tensor:
        for f in parts:
            x = normalized(x * alpha + f(x))
        return x

    follows(DeepNorm(DIM, plain_norm, sublayers, 0, layers), formula, sublayers, 7)


@pytest.mark.parametrize("length", [1, 7])
def test_rezero_is_the_formula_with_one_gate_for_a_layer(length: int) -> None:
    ours = ReZero(DIM, plain_norm, 2, 0, 6)
    assert [parameter.numel() for parameter in ours.parameters()] == [1]
    x = tokens(3)
    assert torch.equal(ours(x, [torch.exp, torch.exp]), x)

    def formula(x: Tensor, parts: Sequence[Sublayer]) -> Tensor:
        for f in parts:
            x = x + ours.alpha * f(x)
        return x

    follows(ours, formula, 2, length)


@pytest.mark.parametrize("length", [1, 7])
def test_highway_is_the_formula(length: int) -> None:
    ours = Highway(DIM, plain_norm, 2, 0, 6)

    def formula(x: Tensor, parts: Sequence[Sublayer]) -> Tensor:
        for i, f in enumerate(parts):
            t = 1 / (1 + torch.exp(-(x @ ours.gates[i].weight.T + ours.biases[i])))  # type: ignore[union-attr]
            x = f(normalized(x)) * t + x * (1 - t)
        return x

    follows(ours, formula, 2, length)


@pytest.mark.parametrize("initial", [-3.0, -1.0])
def test_highway_begins_with_the_same_gate_in_a_model(initial: float, tiny: Tiny) -> None:
    """Initialisation, which begins all biases of Linear at zero, leaves it."""
    model = build(tiny(residual={"name": "highway", "initial": initial}), 32)
    found = [p for module in model.modules() if isinstance(module, Highway) for p in module.biases]
    assert len(found) == 4
    assert all(torch.equal(bias, torch.full((16,), initial)) for bias in found)


def hyper_formula(ours: HyperConnections, x: Tensor, parts: Sequence[Sublayer]) -> Tensor:
    """Streams as a list, one sum after another."""
    n = ours.streams
    h = [x] * n
    for i, f in enumerate(parts):
        c: Any = ours.connections[i]
        mix = [[c.mix.view(n, n + 1)[j, k] for k in range(n + 1)] for j in range(n)]
        write = [c.write[j] for j in range(n)]
        if c.norm is not None:
            for j in range(n):
                moved = torch.tanh(torch.stack([normalized(h[j]) @ c.weight[k] for k in range(n + 2)]))
                mix[j] = [mix[j][k] + c.mix_scale * moved[k][..., None] for k in range(n + 1)]
                write[j] = write[j] + c.write_scale * moved[n + 1][..., None]
        out = f(normalized(sum(mix[j][0] * h[j] for j in range(n))))
        h = [sum(mix[j][k + 1] * h[j] for j in range(n)) + write[k] * out for k in range(n)]
    return sum(h)  # type: ignore[return-value]


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize(("streams", "length"), [(1, 7), (3, 1), (4, 7)])
def test_hyper_connections_are_the_formula(streams: int, length: int, dynamic: bool) -> None:
    ours = HyperConnections(DIM, plain_norm, 2, 0, 6, streams=streams, dynamic=dynamic)
    follows(ours, lambda x, parts: hyper_formula(ours, x, parts), 2, length)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("streams", [1, 3, 4])
def test_hyper_connections_begin_as_pre(streams: int, dynamic: bool) -> None:
    """All streams carry what ``pre`` would, and each sublayer reads one, in turn."""
    _, parts = functions(2)
    h = x = tokens(7, dtype=torch.float64)
    for layer in range(3):
        ours = HyperConnections(DIM, plain_norm, 2, layer, 3, streams=streams, dynamic=dynamic).double()
        h = ours.widen(h) if layer == 0 else h
        h, x = ours(h, parts), PreNorm(DIM, plain_norm, 2, layer, 3)(x, parts)
        read = [c.mix.view(streams, -1)[:, 0].argmax().item() for c in ours.connections if isinstance(c, Connection)]
        assert read == [(2 * layer) % streams, (2 * layer + 1) % streams]
    torch.testing.assert_close(h, x.unsqueeze(2).expand_as(h))
    torch.testing.assert_close(ours.narrow(h), streams * x)


def test_only_what_makes_dynamic_weights_decays() -> None:
    """Training lets matrices decay, not vectors; the paper exempts the static weights."""
    ours = HyperConnections(DIM, plain_norm, 1, 0, 6)
    shapes = {name.rpartition(".")[2]: tuple(parameter.shape) for name, parameter in ours.named_parameters()}
    assert shapes == {"mix": (20,), "write": (4,), "weight": (6, DIM), "mix_scale": (1,), "write_scale": (1,)}


@pytest.mark.parametrize("length", [1, 7])
@pytest.mark.parametrize(
    "ours",
    [
        Highway(DIM, plain_norm, 2, 0, 6),
        HyperConnections(DIM, plain_norm, 2, 0, 6),
        HyperConnections(DIM, plain_norm, 3, 0, 6, streams=3, dynamic=False),
    ],
    ids=["highway", "hyper", "static hyper"],
)
def test_declared_operations_are_counted_ones(ours: Residual, length: int) -> None:
    row = Tokens.from_length(length)
    x = torch.randn(1, length, DIM)
    parts = [torch.tanh] * len(ours.norms)  # type: ignore[arg-type]
    with FlopCounterMode(display=False) as counter:
        ours.narrow(ours(ours.widen(x), parts))
    assert ours.flops(Mask(row, row)) == counter.get_total_flops() > 0


# -------------------------------------------------------------------------------------------------- in a whole model


@pytest.mark.parametrize(
    ("layers", "initial", "expected"),
    [(1, None, 0.1), (18, None, 0.1), (19, None, 1e-5), (24, None, 1e-5), (25, None, 1e-6), (25, 0.5, 0.5)],
)
def test_layerscale_begins_as_its_paper_says(layers: int, initial: float | None, expected: float) -> None:
    ours = LayerScale(DIM, plain_norm, 2, 0, layers, initial=initial)
    assert all(torch.equal(scale, torch.full((DIM,), expected)) for scale in ours.scales)


BRANCHES = ("value.weight", "output.weight", "ffn.up.weight", "ffn.down.weight")


@pytest.mark.parametrize(
    ("variant", "gains"),
    [
        ("decoder", {"stack": (8 * 5) ** -0.25}),
        ("encoder", {"stack": (8 * 5) ** -0.25}),
        ("encoder_decoder", {"decoder": (12 * 5) ** -0.25, "encoder": (8 * 5) ** -0.25}),
    ],
)
def test_deepnorm_begins_with_smaller_branches(variant: str, gains: dict[str, float], tiny: Tiny) -> None:
    """Only values, outputs and feed-forwards; all else begins as with ``post``, which draws the same numbers."""
    plain, deep = (build(tiny(variant, layers=5, residual={"name": n}), 32, seed=0) for n in ("post", "deepnorm"))
    scaled = 0
    for (name, one), (other_name, two) in zip(plain.named_parameters(), deep.named_parameters(), strict=True):
        assert name == other_name
        gain = 1.0
        if name.endswith(BRANCHES):
            gain = next(iter(gains.values())) if len(gains) == 1 else gains[name.split(".")[0]]
            scaled += 1
        torch.testing.assert_close(two, one * gain)
    assert scaled == {"decoder": 20, "encoder": 20, "encoder_decoder": 20 + 30}[variant]


FINAL = {
    "pre": True,
    "post": False,
    "none": True,
    "sandwich": True,
    "inside": True,
    "parallel": True,
    "deepnorm": False,
    "rezero": False,
    "layerscale": True,
    "hyper": True,
    "highway": True,
}


@pytest.mark.parametrize("name", FINAL)
def test_the_stack_ends_with_a_norm_where_the_stream_is_not_normal(name: str, tiny: Tiny) -> None:
    (stack,) = build(tiny(residual={"name": name}), 32).get_stacks().values()
    assert get_index().get("residual", name).load().final_norm is FINAL[name]  # type: ignore[attr-defined]
    assert (stack.final_norm is not None) == FINAL[name]


def gradient_at_the_bottom(config: dict[str, Any], seed: int) -> float:
    """Length of the embeddings' gradient, for a gradient of length one at the top, as a model begins."""
    model = build(config, 32, seed=seed).eval()
    found: list[Tensor] = []

    def keep(module: nn.Module, given: object, out: Tensor) -> Tensor:
        found.append(out.detach().requires_grad_())
        return found[0]

    model.embedding.register_forward_hook(keep)
    generator = torch.Generator().manual_seed(seed)
    hidden = model.compute_hidden(Inputs(torch.randint(6, 32, (2, 9), generator=generator)))
    weight = torch.randn(hidden.shape, generator=generator)
    (gradient,) = torch.autograd.grad((hidden * weight).sum(), found)
    return (gradient.norm() / weight.norm()).item()


@pytest.mark.parametrize("name", ["deepnorm", "rezero"])
def test_gradients_reach_the_bottom_of_a_deep_stack(name: str, tiny: Tiny) -> None:
    config = tiny(layers=48, residual={"name": name}, initialization={"name": "xavier"})
    assert all(0.5 < gradient_at_the_bottom(config, seed) < 5 for seed in range(3))


def test_gradients_vanish_without_a_way_around(tiny: Tiny) -> None:
    """The same measure sees it where nothing helps."""
    config = tiny(layers=48, residual={"name": "none"}, initialization={"name": "xavier"})
    assert statistics.median(gradient_at_the_bottom(config, seed) for seed in range(3)) < 0.1
    config["norm"] = {"name": "none"}
    assert all(gradient_at_the_bottom(config, seed) < 1e-6 for seed in range(3))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HyperConnections(DIM, NoNorm, 2, 0, 1, streams=0), "streams must be positive: got streams=0"),
        (lambda: LayerScale(DIM, NoNorm, 2, 0, 1, initial=0.0), "initial must be positive: got initial=0.0"),
        (lambda: LayerScale(DIM, NoNorm, 2, 0, 1, initial=-0.1), "initial must be positive: got initial=-0.1"),
    ],
)
def test_what_means_nothing_is_refused(make: Callable[[], Residual], message: str) -> None:
    with pytest.raises(Refused, match=message):
        make()

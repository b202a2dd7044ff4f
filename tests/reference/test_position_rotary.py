"""Rotary positions and their relatives against transformers, x-transformers and plain loops."""

from __future__ import annotations

import cmath
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GlmConfig, GPTNeoXConfig, LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.deepseek_v3.modeling_deepseek_v3 import yarn_get_mscale
from transformers.models.glm import modeling_glm
from transformers.models.gpt_neox import modeling_gpt_neox
from transformers.models.llama import modeling_llama
from x_transformers.x_transformers import RotaryEmbedding
from x_transformers.x_transformers import apply_rotary_pos_emb as apply_x

from zoo.checks import Refused
from zoo.components.position._rotation import compute_frequencies
from zoo.components.position._scaling import Scaling
from zoo.components.position.rotary import Rotary
from zoo.components.position.xpos import XPos
from zoo.model.build import build, check

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
SCALINGS: list[tuple[Scaling, dict[str, Any]]] = [
    (Scaling("linear", factor=8.0), {"rope_type": "linear", "factor": 8.0}),
    (Scaling("linear", factor=1.5), {"rope_type": "linear", "factor": 1.5}),
    (
        Scaling("llama3", factor=8.0, length=8192),
        {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "length": 8192},
    ),
    (
        Scaling("llama3", factor=32.0, length=512, low=0.5, high=6.0),
        {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 0.5, "high_freq_factor": 6.0, "length": 512},
    ),
    (Scaling("yarn", factor=4.0, length=2048), {"rope_type": "yarn", "factor": 4.0, "length": 2048}),
    (
        Scaling("yarn", factor=32.0, length=4096, truncate=False),
        {"rope_type": "yarn", "factor": 32.0, "truncate": False, "length": 4096},
    ),
    (
        Scaling("yarn", factor=40.0, length=300, beta_fast=20.0, beta_slow=2.0, attention_factor=0.8),
        {"rope_type": "yarn", "factor": 40.0, "beta_fast": 20, "beta_slow": 2, "attention_factor": 0.8, "length": 300},
    ),
    # So short a training that no pair turns even once within it: the ramp has no length.
    (Scaling("yarn", factor=4.0, length=6), {"rope_type": "yarn", "factor": 4.0, "length": 6}),
]


def llama(width: int, base: float, rope: dict[str, Any]) -> LlamaConfig:
    rope = {"rope_theta": base, **rope}
    if "length" in rope:
        rope["original_max_position_embeddings"] = rope.pop("length")
    return LlamaConfig(
        hidden_size=4 * width, num_attention_heads=4, head_dim=width, max_position_embeddings=9999, rope_parameters=rope
    )


@pytest.mark.parametrize("base", [10000.0, 150000.0])
@pytest.mark.parametrize("width", [8, 64, 128])
@pytest.mark.parametrize(("ours", "theirs"), SCALINGS)
def test_scaled_frequencies_are_those_of_transformers(
    ours: Scaling, theirs: dict[str, Any], width: int, base: float
) -> None:
    expected, size = ROPE_INIT_FUNCTIONS[theirs["rope_type"]](llama(width, base, theirs))
    plain = compute_frequencies(width, base, torch.zeros(1))
    got = ours.scale_frequencies(plain, base)
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-6)
    assert ours.rotation_scale == pytest.approx(size, rel=1e-6)
    assert not torch.allclose(got, plain, rtol=1e-3, atol=0)


@pytest.mark.parametrize("width", [4, 64])
@pytest.mark.parametrize("factor", [1.5, 8.0])
def test_ntk_is_another_base(width: int, factor: float) -> None:
    """Dynamic NTK of twice the length with the factor f - 1 has the base of a fixed f."""
    config = llama(width, 10000.0, {"rope_type": "dynamic", "factor": factor - 1})
    expected, _ = ROPE_INIT_FUNCTIONS["dynamic"](config, seq_len=2 * config.max_position_embeddings)
    got = Scaling("ntk", factor=factor).scale_frequencies(compute_frequencies(width, 10000.0, torch.zeros(1)), 10000.0)
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(("mscale", "mscale_all_dim"), [(1.0, 1.0), (0.707, 0.707), (1.0, 0.8)])
def test_both_factors_of_deepseek_can_be_written(mscale: float, mscale_all_dim: float) -> None:
    rope = {"rope_type": "yarn", "factor": 40.0, "mscale": mscale, "mscale_all_dim": mscale_all_dim, "length": 4096}
    _, size = ROPE_INIT_FUNCTIONS["yarn"](llama(64, 10000.0, rope))
    assert size == pytest.approx(yarn_get_mscale(40.0, mscale) / yarn_get_mscale(40.0, mscale_all_dim))
    assert Scaling("yarn", factor=40.0, length=4096, attention_factor=size).rotation_scale == size


def queries_and_keys(width: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 2, 3, 7, width, generator=generator)
    return q.requires_grad_(), k.requires_grad_(), torch.tensor([[0, 1, 2, 3, 4, 5, 6], [5, 0, 0, 1, 70, 2, 3]])


def assert_turns_alike(
    rotary: Rotary, q: Tensor, k: Tensor, positions: Tensor, expected: tuple[Tensor, Tensor]
) -> None:
    """Forward and gradient."""
    got = rotary.rotate_queries(q, positions), rotary.rotate_keys(k, positions)
    weight = torch.linspace(-1, 1, q.numel()).view_as(q)
    gradients = [
        torch.autograd.grad((a * weight).sum() + (b * weight.square()).sum(), (q, k)) for a, b in (got, expected)
    ]
    torch.testing.assert_close(got, expected, **CLOSE)
    torch.testing.assert_close(*gradients, **CLOSE)


@pytest.mark.parametrize(("ours", "theirs"), [(Scaling(), {"rope_type": "default"}), *SCALINGS])
def test_rotary_is_that_of_llama(ours: Scaling, theirs: dict[str, Any]) -> None:
    q, k, positions = queries_and_keys(16)
    cos, sin = modeling_llama.LlamaRotaryEmbedding(llama(16, 500.0, theirs))(q, positions)
    rotary = Rotary(0, 3, 16, True, base=500.0, scaling=ours)
    assert_turns_alike(rotary, q, k, positions, modeling_llama.apply_rotary_pos_emb(q, k, cos, sin))


@pytest.mark.parametrize("fraction", [0.25, 0.5])
def test_a_fraction_is_that_of_gpt_neox(fraction: float) -> None:
    q, k, positions = queries_and_keys(16)
    rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": fraction}
    config = GPTNeoXConfig(hidden_size=48, num_attention_heads=3, rope_parameters=rope)
    cos, sin = modeling_gpt_neox.GPTNeoXRotaryEmbedding(config)(q, positions)
    assert cos.shape[-1] == 16 * fraction
    rotary = Rotary(0, 3, 16, True, fraction=fraction)
    assert_turns_alike(rotary, q, k, positions, modeling_gpt_neox.apply_rotary_pos_emb(q, k, cos, sin))


def test_an_interleaved_fraction_is_that_of_glm() -> None:
    q, k, positions = queries_and_keys(16)
    rope = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
    config = GlmConfig(hidden_size=48, num_attention_heads=3, head_dim=16, rope_parameters=rope)
    cos, sin = modeling_glm.GlmRotaryEmbedding(config)(q, positions)
    rotary = Rotary(0, 3, 16, True, fraction=0.5, interleaved=True)
    assert_turns_alike(rotary, q, k, positions, modeling_glm.apply_rotary_pos_emb(q, k, cos, sin))


@pytest.mark.parametrize("width", [6, 16])
def test_rotary_follows_the_width_that_it_is_handed(width: int) -> None:
    x = torch.randn(1, 1, 3, width)
    positions = torch.arange(3)[None]
    own, other = Rotary(0, 1, width, True), Rotary(0, 1, 64, True)
    assert torch.equal(own.rotate_queries(x, positions), other.rotate_queries(x, positions))


def test_rotary_is_rounded_once() -> None:
    x = torch.randn(1, 1, 7, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    positions, rotary = torch.arange(1000, 1007)[None], Rotary(0, 1, 64, True)
    precise = rotary.rotate_queries(x.double(), positions)
    torch.testing.assert_close(rotary.rotate_queries(x, positions).double(), precise, rtol=2**-8, atol=1e-3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fraction": 0.0}, "fraction must be above 0 and at most 1: got fraction=0.0"),
        ({"fraction": 1.5}, "fraction must be above 0 and at most 1: got fraction=1.5"),
        ({"fraction": 0.3}, r"fraction \* head_dim must be even: got fraction=0.3, head_dim=10"),
        ({"fraction": 0.25}, r"fraction \* head_dim must be even: got fraction=0.25, head_dim=10"),
        ({"base": 1.0}, "base must be above 1: got base=1.0"),
    ],
)
def test_wrong_options_of_rotary_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message):
        Rotary(0, 1, 10, True, **given)


def test_a_handed_width_that_cannot_turn_is_refused() -> None:
    with pytest.raises(Refused, match=r"fraction \* width must be even: got fraction=0.5, width=6"):
        Rotary(0, 1, 8, True, fraction=0.5).rotate_queries(torch.zeros(1, 1, 1, 6), torch.zeros(1, 1))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"kind": "linear", "factor": 2.0, "beta_fast": 8.0},
            "scaling.beta_fast requires scaling.kind yarn: got scaling.kind=linear",
        ),
        (
            {"factor": 2.0},
            "scaling.factor requires scaling.kind linear or ntk or yarn or llama3: got scaling.kind=none",
        ),
        (
            {"kind": "ntk", "factor": 2.0, "length": 64},
            "scaling.length requires scaling.kind yarn or llama3: got scaling.kind=ntk",
        ),
        (
            {"kind": "yarn", "factor": 2.0, "length": 64, "high": 3.0},
            "scaling.high requires scaling.kind llama3: got scaling.kind=yarn",
        ),
        (
            {"kind": "llama3", "factor": 2.0, "length": 64, "truncate": False},
            "scaling.truncate requires scaling.kind yarn",
        ),
        ({"kind": "linear"}, "scaling.factor must be given for scaling.kind=linear: got null"),
        ({"kind": "yarn", "factor": 2.0}, "scaling.length must be given for scaling.kind=yarn: got null"),
        ({"kind": "linear", "factor": 1.0}, "scaling.factor must be above 1: got scaling.factor=1.0"),
        ({"kind": "llama3", "factor": 2.0, "length": 0}, "scaling.length must be positive: got scaling.length=0"),
        (
            {"kind": "llama3", "factor": 2.0, "length": 64, "low": 5.0},
            "scaling.low must not be above scaling.high: got scaling.low=5.0, scaling.high=4.0",
        ),
        (
            {"kind": "yarn", "factor": 2.0, "length": 64, "beta_fast": 0.5},
            "scaling.beta_slow must not be above scaling.beta_fast: got scaling.beta_slow=1.0, scaling.beta_fast=0.5",
        ),
    ],
)
def test_what_a_scaling_has_no_use_for_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=f"^{message}"):
        Scaling(**given)


def test_a_scaling_is_refused_with_its_path_and_taken_from_a_config() -> None:
    base = {"variant": "decoder", "dim": 16, "layers": 1, "heads": 2, "hidden": 8, "attention": {"name": "multi_head"}}
    base |= {"ffn": {"name": "mlp"}, "norm": {"name": "rms"}, "residual": {"name": "pre"}}
    wrong = {**base, "position": {"name": "rotary", "scaling": {"kind": "linear"}}}
    assert check(wrong)[2] == [
        "model.position.scaling.factor: scaling.factor must be given for scaling.kind=linear: got null"
    ]
    scaling = {"kind": "yarn", "factor": 4, "length": 64, "truncate": False}
    position = build({**base, "position": {"name": "rotary", "scaling": scaling}}, 8).reader.positions[0]
    assert isinstance(position, Rotary)
    assert position.scaling == Scaling("yarn", factor=4.0, length=64, truncate=False)


def xpos_of_x_transformers(q: Tensor, k: Tensor, base: float, scale_base: int) -> tuple[Tensor, Tensor]:
    freqs, scale = RotaryEmbedding(q.shape[-1], use_xpos=True, scale_base=scale_base, base=base)(torch.arange(7))
    return apply_x(q, freqs, scale), apply_x(k, freqs, scale**-1)


@pytest.mark.parametrize(("base", "scale_base"), [(10000.0, 512), (100.0, 4)])
def test_xpos_products_are_those_of_x_transformers(base: float, scale_base: int) -> None:
    """There positions are counted from the middle of a row, which the products do not show."""
    q, k, _ = queries_and_keys(8)
    xpos, positions = XPos(0, 3, 8, True, base=base, scale_base=scale_base), torch.arange(7)[None]
    (a, b), (c, d) = (
        (xpos.rotate_queries(q, positions), xpos.rotate_keys(k, positions)),
        xpos_of_x_transformers(q, k, base, scale_base),
    )
    torch.testing.assert_close(a @ b.mT, c @ d.mT, **CLOSE)
    weight = torch.linspace(-1, 1, 49).view(7, 7)
    gradients = [torch.autograd.grad((x @ y.mT * weight).sum(), (q, k)) for x, y in ((a, b), (c, d))]
    torch.testing.assert_close(*gradients, **CLOSE)


def test_xpos_is_the_loop() -> None:
    q, k, positions = (x.double() for x in queries_and_keys(4))
    xpos = XPos(0, 3, 4, True, scale_base=8.0)
    for x, out, sign in ((q, xpos.rotate_queries(q, positions), 1), (k, xpos.rotate_keys(k, positions), -1)):
        for row in range(2):
            for place in range(7):
                p = int(positions[row, place])
                for i in range(2):
                    zeta = (2 * i / 4 + 0.4) / 1.4
                    turn = zeta ** (sign * p / 8) * cmath.exp(1j * p / 10000 ** (2 * i / 4))
                    z = complex(*x[row, 0, place, 2 * i : 2 * i + 2].tolist()) * turn
                    assert complex(*out[row, 0, place, 2 * i : 2 * i + 2].tolist()) == pytest.approx(z, rel=1e-9)


@pytest.mark.parametrize("scale_base", [16.0, 512.0])
def test_xpos_stays_finite_up_to_its_limit(scale_base: float) -> None:
    xpos = XPos(0, 1, 8, True, scale_base=scale_base)
    assert xpos.limit is not None
    last, x = torch.tensor([[xpos.limit - 1]]), torch.ones(1, 1, 1, 8, dtype=torch.bfloat16)
    q, k = xpos.rotate_queries(x, last), xpos.rotate_keys(x, last)
    assert torch.isfinite(k).all()
    torch.testing.assert_close((q * k).sum(), torch.tensor(8.0).bfloat16(), rtol=0.05, atol=0)
    assert not torch.isfinite(xpos.rotate_keys(x, 2 * last)).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"head_dim": 3}, "head_dim must be even: got head_dim=3"),
        ({"base": 0.5}, "base must be above 1: got base=0.5"),
        ({"scale_base": 0.0}, "scale_base must be positive: got scale_base=0.0"),
    ],
)
def test_wrong_options_of_xpos_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message):
        XPos(**{"dim": 0, "heads": 1, "head_dim": 4, "causal": True, **given})

"""Mixers with a state against the published layers of transformers, forward and gradient."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from transformers import Mamba2Config, Qwen3NextConfig
from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer
from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextGatedDeltaNet

from zoo.components.attention.gated_delta import GatedDelta
from zoo.components.attention.mamba2 import Mamba2
from zoo.components.norm.none import NoNorm
from zoo.components.position.none import NoPosition
from zoo.model.interfaces import Attention
from zoo.model.mask import Mask, Tokens
from zoo.testing.subject import perturb

DIM, BATCH = 16, 3
NOWHERE = NoPosition(DIM, 4, 4, True)
Named = dict[str, Tensor]


def assert_close(a: Tensor, b: Tensor) -> None:
    """They work in float32 whatever they are given: to 1e-5 of the largest number."""
    torch.testing.assert_close(a, b, atol=1e-5 * max(1.0, float(b.abs().max())), rtol=1e-5)


def compare(ours: Attention, theirs: nn.Module, translate: Callable[[Named], Named], length: int) -> None:
    """Rows padded on the left: outputs at real tokens, gradients of the rows and of every parameter.

    ``translate`` takes their parameters, or the gradients of these, to what has our names.
    """
    perturb(theirs)
    ours.load_state_dict(translate({name: p.detach() for name, p in theirs.named_parameters()}))
    x, y = (torch.randn(BATCH, length, DIM, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in "ab")
    real = torch.arange(length)[None] >= torch.tensor([0, length // 2, length - 1])[:, None]
    tokens = Tokens.from_length(length, segment=torch.where(real, 0, -1))
    out = ours(x, x, Mask(tokens, tokens, causal=True), NOWHERE)
    expected = theirs(y, attention_mask=real)
    assert_close(out[real], expected[real])
    weight = torch.linspace(-1, 1, out.numel()).view_as(out)
    for result in (out, expected):
        (result * weight)[real].sum().backward()
    assert_close(x.grad, y.grad)
    wanted = translate({name: p.grad for name, p in theirs.named_parameters()})
    for name, parameter in ours.named_parameters():
        assert_close(parameter.grad, wanted[name])


def from_qwen(theirs: Named) -> Named:
    """They keep together what belongs to a key head: its q, its k, then v and gate of its two value heads."""
    per_head = theirs["in_proj_qkvz.weight"].view(2, 36, DIM).split([6, 6, 12, 12], dim=1)
    q, k, v, z = (part.reshape(-1, DIM) for part in per_head)
    b, a = (part.reshape(-1, DIM) for part in theirs["in_proj_ba.weight"].view(2, 4, DIM).split([2, 2], dim=1))
    return {
        "query.weight": q,
        "key.weight": k,
        "value.weight": v,
        "gate.weight": z,
        "strength.weight": b,
        "decay.weight": a,
        "convolution.weight": theirs["conv1d.weight"][:, 0],
        "step.bias": theirs["dt_bias"],
        "step.log_rate": theirs["A_log"],
        "weight": theirs["norm.weight"],
        "output.weight": theirs["out_proj.weight"],
    }


@pytest.mark.parametrize("length", [1, 7, 63, 130])
def test_gated_delta_is_qwen3_nexts(length: int) -> None:
    torch.manual_seed(0)
    config = Qwen3NextConfig(
        hidden_size=DIM,
        num_hidden_layers=1,
        layer_types=["linear_attention"],
        linear_num_value_heads=4,
        linear_num_key_heads=2,
        linear_key_head_dim=6,
        linear_value_head_dim=6,
        linear_conv_kernel_dim=4,
    )
    ours = GatedDelta(DIM, 4, 6, NoNorm, key_heads=2, expand=1)
    compare(ours, Qwen3NextGatedDeltaNet(config, layer_idx=0), from_qwen, length)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("length", [1, 7, 63, 130])
def test_mamba2_is_transformers_mixer(length: int, groups: int) -> None:
    def translate(theirs: Named) -> Named:
        z, x, b, c, dt = theirs["in_proj.weight"].split([32, 32, 5 * groups, 5 * groups, 4])
        return {
            "gate.weight": z,
            "value.weight": x,
            "key.weight": b,
            "query.weight": c,
            "decay.weight": dt,
            "convolution.weight": theirs["conv1d.weight"][:, 0],
            "convolution.bias": theirs["conv1d.bias"],
            "step.bias": theirs["dt_bias"],
            "step.log_rate": theirs["A_log"],
            "skip": theirs["D"],
            "weight": theirs["norm.weight"],
            "output.weight": theirs["out_proj.weight"],
        }

    torch.manual_seed(0)
    sizes = {"hidden_size": DIM, "num_heads": 4, "head_dim": 8, "state_size": 5, "n_groups": groups, "expand": 2}
    theirs = Mamba2Mixer(Mamba2Config(**sizes, chunk_size=16, num_hidden_layers=1), layer_idx=0)
    compare(Mamba2(DIM, 4, 4, NoNorm, state=5, groups=groups, expand=2), theirs, translate, length)

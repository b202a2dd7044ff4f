"""Options of multi-head and grouped-query attention against published models in transformers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from transformers import Gemma2Config, GptOssConfig, LlamaConfig, Olmo2Config, Qwen3Config, Qwen3NextConfig
from transformers.models.gemma2.modeling_gemma2 import Gemma2Attention
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssAttention
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaRotaryEmbedding
from transformers.models.olmo2.modeling_olmo2 import Olmo2Attention
from transformers.models.qwen3.modeling_qwen3 import Qwen3Attention
from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextAttention

from zoo.components.attention.grouped_query import GroupedQueryAttention
from zoo.components.attention.multi_head import MultiHeadAttention
from zoo.components.norm.rms import RmsNorm
from zoo.components.position.none import NoPosition
from zoo.components.position.rotary import Rotary
from zoo.model.attend import Scores
from zoo.model.interfaces import Norm
from zoo.model.mask import Mask, Tokens

DIM, HEADS, KV_HEADS, HEAD_DIM = 16, 4, 2, 6
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
NAMES = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "o_proj": "output"}
NAMES |= {"q_norm": "query_norm", "k_norm": "key_norm"}
SIZES = {
    "hidden_size": DIM,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "attn_implementation": "eager",
    "rms_norm_eps": 1e-6,
}


def rms(width: int) -> Norm:
    return RmsNorm(width)


def rename(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights, or their gradients, under our names."""
    return {".".join([NAMES.get(first, first), *rest]): v for (first, *rest), v in _parts(theirs)}


def _parts(weights: dict[str, Tensor]) -> list[tuple[list[str], Tensor]]:
    return [(name.split("."), value) for name, value in weights.items()]


def rename_gated(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Qwen 3 Next: each head's queries and gate are rows of one matrix, and norms hold what is added to one."""
    both = theirs["q_proj.weight"].view(HEADS, 2, HEAD_DIM, DIM)
    rest = rename({name: value for name, value in theirs.items() if not name.startswith("q_proj")})
    return rest | {"query.weight": both[:, 0].flatten(0, 1), "gate.weight": both[:, 1].flatten(0, 1)}


def compare(
    ours: nn.Module,
    theirs: nn.Module,
    length: int,
    rename: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    window: int | None = None,
) -> None:
    """Forward, gradient of the tokens, gradient of every parameter."""
    generator = torch.Generator().manual_seed(length)
    x = torch.randn(3, length, DIM, generator=generator, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    tokens = Tokens.from_length(length)
    out = ours(x, x, Mask(tokens, tokens, causal=True), Rotary(DIM, HEADS, HEAD_DIM, True))
    turns = LlamaRotaryEmbedding(LlamaConfig(**SIZES))(y, tokens.position)
    if isinstance(theirs, GptOssAttention):
        turns = tuple(part[..., : HEAD_DIM // 2] for part in turns)
    hidden = torch.full((length, length), float("-inf")).triu(1)[None, None]
    if window is not None:
        hidden = hidden + torch.full((length, length), float("-inf")).tril(-window)
    expected = theirs(y, turns, hidden)[0]
    torch.testing.assert_close(out, expected, **CLOSE)
    weight = torch.linspace(-1, 1, out.numel()).view_as(out)
    (out * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, **CLOSE)
    gradients = rename({name: p.grad for name, p in theirs.named_parameters()})
    assert gradients.keys() == dict(ours.named_parameters()).keys()
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-5, rtol=1e-4)


def lively(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return module


@pytest.mark.parametrize("length", [1, 7, 63])
def test_rotated_grouped_query_is_llamas(length: int) -> None:
    config = LlamaConfig(**SIZES)
    theirs = lively(LlamaAttention(config, 0))
    ours = GroupedQueryAttention(DIM, HEADS, HEAD_DIM, rms, kv_heads=KV_HEADS)
    ours.load_state_dict(rename(theirs.state_dict()))
    compare(ours, theirs, length, rename)


@pytest.mark.parametrize("length", [1, 7, 63])
def test_norm_of_each_head_is_qwens(length: int) -> None:
    config = Qwen3Config(**SIZES)
    theirs = lively(Qwen3Attention(config, 0))
    ours = GroupedQueryAttention(DIM, HEADS, HEAD_DIM, rms, kv_heads=KV_HEADS, qk_norm="head")
    ours.load_state_dict(rename(theirs.state_dict()))
    compare(ours, theirs, length, rename)


@pytest.mark.parametrize("length", [1, 7, 63])
@pytest.mark.parametrize("kv_heads", [2, 4])
def test_norm_of_the_full_width_is_olmos(length: int, kv_heads: int) -> None:
    config = Olmo2Config(**{**SIZES, "num_key_value_heads": kv_heads})
    theirs = lively(Olmo2Attention(config, 0))
    if kv_heads == HEADS:
        ours: nn.Module = MultiHeadAttention(DIM, HEADS, HEAD_DIM, rms, qk_norm="full")
    else:
        ours = GroupedQueryAttention(DIM, HEADS, HEAD_DIM, rms, kv_heads=kv_heads, qk_norm="full")
    ours.load_state_dict(rename(theirs.state_dict()))
    compare(ours, theirs, length, rename)


@pytest.mark.parametrize("length", [1, 7, 63])
def test_gated_output_is_qwen_nexts(length: int) -> None:
    config = Qwen3NextConfig(**SIZES, partial_rotary_factor=1.0)
    theirs = lively(Qwen3NextAttention(config, 0))
    ours = GroupedQueryAttention(DIM, HEADS, HEAD_DIM, rms, kv_heads=KV_HEADS, qk_norm="head", output_gate=True)
    weights = rename_gated(theirs.state_dict())
    ours.load_state_dict({name: value + 1 if "norm" in name else value for name, value in weights.items()})
    compare(ours, theirs, length, rename_gated)


@pytest.mark.parametrize("length", [1, 7, 63])
@pytest.mark.parametrize("window", [None, 4])
def test_sinks_windows_and_biases_are_those_of_gpt_oss(window: int | None, length: int) -> None:
    config = GptOssConfig(**SIZES, attention_bias=True)
    theirs = GptOssAttention(config, 0)
    nn.init.zeros_(theirs.sinks)
    lively(theirs)
    scores = Scores(window=window, sinks=True)
    ours = GroupedQueryAttention(DIM, HEADS, HEAD_DIM, rms, kv_heads=KV_HEADS, bias="all", scores=scores)
    ours.load_state_dict(rename(theirs.state_dict()))
    compare(ours, theirs, length, rename, window)


@pytest.mark.parametrize("length", [1, 7, 63])
def test_soft_cap_and_scale_are_gemmas(length: int) -> None:
    config = Gemma2Config(**SIZES, attn_logit_softcapping=2.0, query_pre_attn_scalar=9)
    theirs = lively(Gemma2Attention(config, 0))
    scores = Scores(softcap=2.0, scale=1 / 3)
    ours = GroupedQueryAttention(DIM, HEADS, HEAD_DIM, rms, kv_heads=KV_HEADS, scores=scores)
    ours.load_state_dict(rename(theirs.state_dict()))
    compare(ours, theirs, length, rename)


def test_a_gate_has_a_bias_where_queries_have() -> None:
    """Far open, it changes nothing; far shut, nothing is left."""
    torch.manual_seed(0)
    gated = MultiHeadAttention(DIM, HEADS, 4, rms, bias="qkv", output_gate=True)
    plain = MultiHeadAttention(DIM, HEADS, 4, rms, bias="qkv")
    plain.load_state_dict({name: value for name, value in gated.state_dict().items() if "gate" not in name})
    x, tokens = torch.randn(2, 5, DIM), Tokens.from_length(5)
    given = (x, x, Mask(tokens, tokens), NoPosition(DIM, HEADS, 4, True))
    assert gated.gate is not None
    nn.init.constant_(gated.gate.bias, 50.0)
    torch.testing.assert_close(gated(*given), plain(*given))
    nn.init.constant_(gated.gate.bias, -50.0)
    torch.testing.assert_close(gated(*given), torch.zeros(2, 5, DIM))

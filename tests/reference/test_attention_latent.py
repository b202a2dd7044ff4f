"""Latent attention against DeepSeek's in transformers, and its two forms against each other."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn
from transformers import DeepseekV2Config, DeepseekV3Config
from transformers.models.deepseek_v2.modeling_deepseek_v2 import DeepseekV2Attention, DeepseekV2RotaryEmbedding
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3Attention, DeepseekV3RotaryEmbedding

from zoo.checks import Refused
from zoo.components.attention.latent import LatentAttention
from zoo.components.norm.rms import RmsNorm
from zoo.components.position.alibi import Alibi
from zoo.components.position.none import NoPosition
from zoo.components.position.rotary import Rotary
from zoo.model.attend import Scores
from zoo.model.cache import Cache
from zoo.model.interfaces import Norm, Position
from zoo.model.mask import Mask, Tokens
from zoo.testing.subject import perturb

DIM, HEADS, HEAD_DIM, ROPE, VALUE, RANK = 16, 4, 6, 4, 5, 8
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


def rms(width: int) -> Norm:
    return RmsNorm(width)


def rename(theirs: dict[str, Tensor]) -> dict[str, Tensor]:
    """DeepSeek keeps the latent with the shared key, and each head's keys with its values, in one matrix."""
    down, shared = theirs["kv_a_proj_with_mqa.weight"].split([RANK, ROPE])
    expand = theirs["kv_b_proj.weight"].view(HEADS, HEAD_DIM + VALUE, RANK)
    names = {"q_proj": "query", "q_b_proj": "query", "q_a_proj": "query_down", "q_a_layernorm": "query_norm"}
    names |= {"kv_a_layernorm": "norm", "o_proj": "output"}
    return {
        "down.weight": down,
        "shared_key.weight": shared,
        "key.weight": expand[:, :HEAD_DIM].flatten(0, 1),
        "value.weight": expand[:, HEAD_DIM:].flatten(0, 1),
    } | {names[name.removesuffix(".weight")] + ".weight": v for name, v in theirs.items() if name[:-7] in names}


@pytest.mark.parametrize("length", [1, 7, 63])
@pytest.mark.parametrize("query_rank", [None, 7])
@pytest.mark.parametrize("model", ["v2", "v3", "v3 halves"])
def test_it_is_deepseeks(model: str, query_rank: int | None, length: int) -> None:
    sizes = {
        "hidden_size": DIM,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "kv_lora_rank": RANK,
        "q_lora_rank": query_rank,
        "qk_nope_head_dim": HEAD_DIM,
        "qk_rope_head_dim": ROPE,
        "v_head_dim": VALUE,
        "attn_implementation": "eager",
    }
    x = torch.randn(2, length, DIM, generator=torch.Generator().manual_seed(length), requires_grad=True)
    y = x.detach().clone().requires_grad_()
    tokens = Tokens.from_length(length)
    hidden = torch.full((length, length), float("-inf")).triu(1)[None, None]
    if model == "v2":
        theirs: nn.Module = DeepseekV2Attention(config := DeepseekV2Config(**sizes), 0)
        perturb(theirs)
        turns = DeepseekV2RotaryEmbedding(config)(y, tokens.position)
        expected = theirs(y, hidden, position_embeddings=turns)[0]
    else:
        theirs = DeepseekV3Attention(config := DeepseekV3Config(**sizes, rope_interleave=model == "v3"), 0)
        perturb(theirs)
        turns = DeepseekV3RotaryEmbedding(config)(y, tokens.position)
        expected = theirs(y, turns, hidden)[0]
    ours = LatentAttention(DIM, HEADS, HEAD_DIM, rms, rank=RANK, query_rank=query_rank, rope_dim=ROPE, value_dim=VALUE)
    ours.load_state_dict(rename(theirs.state_dict()))
    rotary = Rotary(DIM, HEADS, HEAD_DIM, True, interleaved=model != "v3 halves")
    out = ours(x, x, Mask(tokens, tokens, causal=True), rotary)
    torch.testing.assert_close(out, expected, **CLOSE)
    weight = torch.linspace(-1, 1, out.numel()).view_as(out)
    (out * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, **CLOSE)
    gradients = rename({name: p.grad for name, p in theirs.named_parameters()})
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-5, rtol=1e-4)


class Shaw(Position):
    """A bias that depends on the queries, of a head's width, and on how far a key is."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.randn(HEADS, 40, HEAD_DIM, dtype=torch.float64)

    def bias(self, q: Tensor, query_positions: Tensor, key_positions: Tensor) -> Tensor:
        distance = (query_positions[:, :, None] - key_positions[:, None, :] + 20).expand(len(q), -1, -1)
        return torch.einsum("bhqw,hbqkw->bhqk", q, self.table[:, distance])


@pytest.mark.parametrize("position", ["none", "rotary", "alibi", "shaw"])
@pytest.mark.parametrize("scores", [Scores(), Scores(window=4, softcap=3.0, sinks=True), Scores(scale=0.7)])
@pytest.mark.parametrize("chunks", [[1] * 9, [4, 1, 3, 1], [9]], ids=str)
def test_the_absorbed_form_is_the_expanded_one(chunks: list[int], scores: Scores, position: str) -> None:
    """Forward and gradient; only latent vectors and shared keys are kept."""
    torch.manual_seed(0)
    made = {"none": NoPosition, "rotary": Rotary, "alibi": Alibi}
    place = Shaw() if position == "shaw" else made[position](DIM, HEADS, HEAD_DIM, True)
    attention = LatentAttention(DIM, HEADS, HEAD_DIM, rms, rank=RANK, rope_dim=ROPE, value_dim=VALUE, scores=scores)
    perturb(attention.double())
    x = torch.randn(2, 9, DIM, dtype=torch.float64, requires_grad=True)
    tokens = Tokens.from_length(9)
    whole = attention(x, x, Mask(tokens, tokens, causal=True), place)
    cache, parts, start = attention.create_cache(9), [], 0
    for length in chunks:
        here, part = Tokens.from_length(length, start=start), x[:, start : start + length].detach()
        parts.append(attention(part, part, Mask(here, here, causal=True), place, cache))
        start += length
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-9, rtol=1e-9)
    kept = 9 if scores.window is None else scores.window
    assert cache.bytes == 2 * kept * (RANK + ROPE) * 8
    fresh = Cache(9)
    absorbed = attention(x, x, Mask(tokens, tokens, causal=True), place, fresh)
    inputs = [x, *attention.parameters()]
    weight = torch.linspace(-1, 1, whole.numel(), dtype=torch.float64).view_as(whole)
    ours, theirs = (torch.autograd.grad((out * weight).sum(), inputs) for out in (absorbed, whole))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"rank": 0}, "rank must be positive: got rank=0"),
        ({"query_rank": 0}, "query_rank must be positive: got query_rank=0"),
        ({"rope_dim": 3}, "rope_dim must be even: got rope_dim=3"),
        ({"rope_dim": 0}, "rope_dim must be positive: got rope_dim=0"),
        ({"value_dim": -1}, "value_dim must be positive: got value_dim=-1"),
    ],
)
def test_bad_sizes_are_refused(options: dict[str, int], line: str) -> None:
    with pytest.raises(Refused, match=f"^{re.escape(line)}$"):
        LatentAttention(DIM, HEADS, HEAD_DIM, rms, **options)  # type: ignore[arg-type]

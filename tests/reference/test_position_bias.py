"""Biases on scores against transformers, x-transformers and the papers' formulas."""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import T5Config, Wav2Vec2BertConfig
from transformers.models.t5.modeling_t5 import T5Attention
from transformers.models.wav2vec2_bert.modeling_wav2vec2_bert import Wav2Vec2BertSelfAttention
from x_transformers.x_transformers import RelativePositionBias

from zoo.checks import Refused
from zoo.components.position.alibi import Alibi
from zoo.components.position.fire import Fire
from zoo.components.position.kerple import Kerple
from zoo.components.position.shaw import Shaw
from zoo.components.position.t5 import T5Bias
from zoo.model.attend import Scores, attend
from zoo.model.interfaces import Position
from zoo.model.mask import Mask, Tokens

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
HEADS, WIDTH = 3, 4
QUERIES = torch.tensor([[0, 1, 2, 3, 4, 5, 6], [5, 0, 0, 1, 70, 2, 3]])
KEYS = torch.tensor([[0, 40, 9], [1, 2, 600]])


def made(cls: type[Any], seed: int = 0, causal: bool = True, **options: Any) -> Any:
    """A position whose parameters are not what they begin with."""
    torch.manual_seed(seed)
    position = cls(HEADS * WIDTH, HEADS, WIDTH, causal, **options)
    with torch.no_grad():
        for parameter in position.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return position


def some_queries(length: int = 7) -> Tensor:
    return torch.randn(2, HEADS, length, WIDTH, generator=torch.Generator().manual_seed(1))


EVERY = [
    (Alibi, {}),
    (T5Bias, {}),
    (T5Bias, {"causal": False}),
    (Shaw, {"clip": 3}),
    (Kerple, {}),
    (Kerple, {"kernel": "power"}),
    (Fire, {"width": 5, "threshold": 8.0}),
]


@pytest.mark.parametrize(("cls", "options"), EVERY)
def test_keys_may_lie_in_any_order(cls: type[Position], options: dict[str, Any]) -> None:
    """As in the ring of a cache: what counts are positions, of each pair alone."""
    position, q = made(cls, **options), some_queries()
    whole = position.bias(q, QUERIES, KEYS)
    assert whole.shape == (2, HEADS, 7, 3)
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(position.bias(q, QUERIES, KEYS[:, order]), whole[..., order])
    torch.testing.assert_close(position.bias(q[:, :, 4:5], QUERIES[:, 4:5], KEYS), whole[:, :, 4:5])
    torch.testing.assert_close(position.bias(q[:1], QUERIES[:1], KEYS[:1]), whole[:1])


@pytest.mark.parametrize(("cls", "options"), [item for item in EVERY if item[0] is not Shaw])
def test_in_bfloat16_a_bias_is_rounded_once(cls: type[Position], options: dict[str, Any]) -> None:
    position, q = made(cls, **options).bfloat16(), some_queries().bfloat16()
    rough = position.bias(q, QUERIES, KEYS)
    assert rough.dtype == torch.bfloat16
    assert torch.equal(rough, position.float().bias(q.float(), QUERIES, KEYS).bfloat16())


# ------------------------------------------------------------------------------------------------------------- t5


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("buckets", "distance"), [(32, 128), (8, 20), (4, 3), (64, 1000)])
def test_t5_buckets_are_those_of_transformers(causal: bool, buckets: int, distance: int) -> None:
    position = T5Bias(0, 1, 1, causal, buckets=buckets, distance=distance)
    position.table.weight.data = torch.arange(buckets)[:, None].float()
    keys = torch.arange(1500)[None]
    for query in (0, 700, 1499):
        theirs = T5Attention._relative_position_bucket(keys - query, not causal, buckets, distance)
        ours = position.bias(torch.zeros(1, 1, 1, 1), torch.tensor([[query]]), keys)
        assert torch.equal(ours[0, 0], theirs.float())


@pytest.mark.parametrize("length", [1, 7, 63])
@pytest.mark.parametrize("causal", [False, True])
def test_t5_biases_are_those_of_transformers_and_x_transformers(causal: bool, length: int) -> None:
    ours = made(T5Bias, causal=causal, buckets=8, distance=20)
    config = T5Config(
        num_heads=HEADS, relative_attention_num_buckets=8, relative_attention_max_distance=20, is_decoder=causal
    )
    theirs = T5Attention(config, has_relative_attention_bias=True, layer_idx=0)
    other = RelativePositionBias(1.0, causal, 8, 20, HEADS)
    for module in (theirs, other):
        module.relative_attention_bias.load_state_dict(ours.table.state_dict())
    positions = torch.arange(length)[None]
    weight = torch.randn(1, HEADS, length, length)
    got = ours.bias(torch.zeros(1, HEADS, length, WIDTH), positions, positions)
    (got * weight).sum().backward()
    for expected, module in ((theirs.compute_bias(length, length), theirs), (other(length, length)[None], other)):
        torch.testing.assert_close(got, expected, **CLOSE)
        (expected * weight).sum().backward()
        torch.testing.assert_close(ours.table.weight.grad, module.relative_attention_bias.weight.grad, **CLOSE)


@pytest.mark.parametrize(
    ("causal", "given", "message"),
    [
        (False, {"buckets": 2}, "buckets must be even and at least 4: got buckets=2"),
        (True, {"buckets": 7}, "buckets must be even and at least 2: got buckets=7"),
        (True, {"distance": 16}, "distance must be above 16: got distance=16, buckets=32"),
        (False, {"distance": 8}, "distance must be above 8: got distance=8, buckets=32"),
    ],
)
def test_wrong_options_of_t5_are_refused(causal: bool, given: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message):
        T5Bias(0, 1, 1, causal, **given)


# ----------------------------------------------------------------------------------------------------------- shaw


def test_shaw_adds_the_vector_of_its_distance_to_each_key() -> None:
    """softmax of q · (k + a) / √head_dim, with one vector for each pair."""
    shaw, q = made(Shaw, clip=3), some_queries().requires_grad_()
    k, v = torch.randn(2, 2, HEADS, 3, WIDTH)
    query, key = Tokens.from_length(7, position=QUERIES), Tokens.from_length(3, position=KEYS)
    got = attend(q, k, v, Mask(query, key), shaw, Scores())
    number = [[[min(3, max(-3, int(j) - int(i))) + 3 for j in KEYS[b]] for i in QUERIES[b]] for b in range(2)]
    vectors = shaw.table.weight[torch.tensor(number)]  # [batch, query, key, width]
    keys = k[:, :, None] + vectors[:, None]
    weights = ((q[..., None, :] * keys).sum(-1) / math.sqrt(WIDTH)).softmax(dim=-1)
    expected = weights @ v
    torch.testing.assert_close(got, expected, **CLOSE)
    weight = torch.linspace(-1, 1, got.numel()).view_as(got)
    gradients = [torch.autograd.grad((out * weight).sum(), (q, shaw.table.weight)) for out in (got, expected)]
    torch.testing.assert_close(*gradients, **CLOSE)


@pytest.mark.parametrize("length", [1, 7, 63])
def test_shaw_is_the_relative_key_of_transformers(length: int) -> None:
    config = Wav2Vec2BertConfig(
        hidden_size=HEADS * WIDTH,
        num_attention_heads=HEADS,
        position_embeddings_type="relative_key",
        left_max_position_embeddings=5,
        right_max_position_embeddings=5,
        attention_dropout=0.0,
    )
    theirs, ours = Wav2Vec2BertSelfAttention(config), made(Shaw, clip=5)
    theirs.distance_embedding.load_state_dict(ours.table.state_dict())
    x = torch.randn(2, length, HEADS * WIDTH)
    q, k, v = (
        part(x).unflatten(-1, (HEADS, WIDTH)).transpose(1, 2)
        for part in (theirs.linear_q, theirs.linear_k, theirs.linear_v)
    )
    tokens = Tokens.from_length(length)
    got = theirs.linear_out(attend(q, k, v, Mask(tokens, tokens), ours, Scores()).transpose(1, 2).flatten(2))
    expected = theirs(x)[0]
    torch.testing.assert_close(got, expected, **CLOSE)
    got.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(ours.table.weight.grad, theirs.distance_embedding.weight.grad, atol=1e-4, rtol=1e-4)


def test_shaw_needs_queries_of_its_width() -> None:
    with pytest.raises(Refused, match="queries must be head_dim wide for position shaw: got width=6, head_dim=4"):
        made(Shaw).bias(torch.zeros(2, HEADS, 7, 6), QUERIES, KEYS)
    with pytest.raises(Refused, match="clip must be positive: got clip=0"):
        made(Shaw, clip=0)


# --------------------------------------------------------------------------------------------------------- kerple


@pytest.mark.parametrize("kernel", ["log", "power"])
def test_kerple_is_the_loop(kernel: str) -> None:
    kerple = made(Kerple, kernel=kernel).double()
    bias = kerple.bias(some_queries().double(), QUERIES, KEYS)
    for head in range(HEADS):
        factor = math.log1p(math.exp(kerple.factor[head].item()))
        raw = kerple.inner[head].item()
        inner = math.log1p(math.exp(raw)) if kernel == "log" else 2 / (1 + math.exp(-raw))
        for row in range(2):
            for i in range(7):
                for j in range(3):
                    d = abs(int(QUERIES[row, i]) - int(KEYS[row, j]))
                    fall = math.log(1 + inner * d) if kernel == "log" else d**inner
                    assert bias[row, head, i, j].item() == pytest.approx(-factor * fall, rel=1e-9)
    bias.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.all() for p in kerple.parameters())


@pytest.mark.parametrize(("kernel", "tops"), [("log", (2.0, 1.0)), ("power", (1.0, 2.0))])
def test_kerple_begins_in_the_published_ranges(kernel: Literal["log", "power"], tops: tuple[float, float]) -> None:
    torch.manual_seed(0)
    kerple = Kerple(0, 2000, 1, True, kernel=kernel)
    inner = F.softplus(kerple.inner) if kernel == "log" else 2 * kerple.inner.sigmoid()
    for values, top in zip((F.softplus(kerple.factor), inner), tops, strict=True):
        assert 0 < float(values.min()) < 0.02 * top
        assert 0.98 * top < float(values.max()) <= top
        assert float(values.mean()) == pytest.approx(top / 2, rel=0.1)


# ----------------------------------------------------------------------------------------------------------- fire


def paper_fire(fire: Fire, network: nn.Module, i: int, j: int) -> Tensor:
    """f(log(c |i - j| + 1) / log(c max(i, j, L) + 1)), by single numbers."""
    c, longest = abs(float(fire.c)), abs(float(fire.stretch)) * fire.threshold
    share = math.log(c * abs(i - j) + 1) / math.log(c * max(i, j, longest) + 1)
    out: Tensor = network(torch.tensor([share], dtype=torch.float64))
    return out


@pytest.mark.parametrize("threshold", [512.0, 4.0])
def test_fire_is_the_formula(threshold: float) -> None:
    fire = made(Fire, width=5, threshold=threshold).double()
    network = nn.Sequential(nn.Linear(1, 5), nn.ReLU(), nn.Linear(5, HEADS, bias=False)).double()
    network[0].weight.data, network[0].bias.data = fire.slope.data[:, None], fire.offset.data
    network[2].load_state_dict(fire.output.state_dict())
    bias = fire.bias(some_queries().double(), QUERIES, KEYS)
    expected = torch.stack(
        [
            torch.stack([torch.stack([paper_fire(fire, network, int(i), int(j)) for j in KEYS[b]]) for i in QUERIES[b]])
            for b in range(2)
        ]
    ).permute(0, 3, 1, 2)
    torch.testing.assert_close(bias, expected, **CLOSE)
    weight = torch.linspace(-1, 1, bias.numel(), dtype=torch.float64).view_as(bias)
    (bias * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(fire.slope.grad, network[0].weight.grad[:, 0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(fire.offset.grad, network[0].bias.grad, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(fire.output.weight.grad, network[2].weight.grad, atol=1e-4, rtol=1e-4)


def test_fire_learns_how_far_it_looks() -> None:
    """Gradients of c and L against finite differences."""
    fire, q = made(Fire, width=5, threshold=8.0).double(), some_queries().double()
    fire.bias(q, QUERIES, KEYS)[:, 0].sum().backward()
    for parameter in (fire.c, fire.stretch):
        values = []
        for step in (1e-6, -2e-6):
            parameter.data += step
            values.append(float(fire.bias(q, QUERIES, KEYS)[:, 0].sum().detach()))
        parameter.data += 1e-6
        assert parameter.grad is not None
        assert float(parameter.grad) == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-4)
        assert float(parameter.grad) != 0


def test_fire_stays_finite_where_c_is_zero() -> None:
    fire = made(Fire)
    fire.c.data.zero_()
    bias = fire.bias(some_queries(), QUERIES, KEYS)
    bias.sum().backward()
    assert bias.isfinite().all()
    assert all(p.grad.isfinite().all() for p in fire.parameters())


def test_wrong_options_of_fire_are_refused() -> None:
    with pytest.raises(Refused, match="width must be positive: got width=0"):
        made(Fire, width=0)
    with pytest.raises(Refused, match=r"at least 1, the smallest distance: got threshold=0\.5"):
        made(Fire, threshold=0.5)

"""A whole layer against torch's own, forward and gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.model.build import build
from zoo.model.interfaces import Attention
from zoo.model.mask import Mask, Tokens
from zoo.model.stack import Layer, Stack

DIM, HEADS, HIDDEN, BATCH = 16, 4, 24, 3
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
GRADIENT = {"atol": 1e-4, "rtol": 1e-4}


def pairs(ours: Layer, theirs: nn.Module) -> list[tuple[list[nn.Parameter], nn.Parameter]]:
    """Our parameters and the one of torch that they make together."""
    found: list[tuple[list[nn.Parameter], nn.Parameter]] = []

    def attention(own: Attention | None, other: Any) -> None:
        assert own is not None
        for name in ("weight", "bias"):
            together = [getattr(getattr(own, part), name) for part in ("query", "key", "value")]
            found.append((together, getattr(other, f"in_proj_{name}")))
            found.append(([getattr(own.output, name)], getattr(other.out_proj, name)))

    attention(ours.attention, theirs.self_attn)
    if ours.cross is not None:
        attention(ours.cross, theirs.multihead_attn)
    modules = [(ours.ffn.up, theirs.linear1), (ours.ffn.down, theirs.linear2)]  # type: ignore[union-attr]
    norms = [theirs.norm1, theirs.norm2] + ([theirs.norm3] if ours.cross is not None else [])
    modules += list(zip(ours.residual.norms, norms, strict=True))
    for own, other in modules:
        found += [([own.weight], other.weight), ([own.bias], other.bias)]
    return found


def copied(ours: Layer, theirs: nn.Module) -> list[tuple[list[nn.Parameter], nn.Parameter]]:
    """Give torch's layer random weights, and ours the same."""
    torch.manual_seed(1)
    found = pairs(ours, theirs)
    assert sum(len(own) for own, _ in found) == len(list(ours.parameters()))
    assert len(found) == len(list(theirs.parameters()))
    with torch.no_grad():
        for own, other in found:
            nn.init.normal_(other, std=0.3)
            for part, weight in zip(own, other.chunk(len(own)), strict=True):
                part.copy_(weight)
    return found


def only_layer(stack: Stack) -> Layer:
    (layer,) = stack.layers
    assert isinstance(layer, Layer)
    return layer


def inputs(length: int, source: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(BATCH, n, DIM, generator=generator).requires_grad_() for n in (length, source)]


def real_of(length: int) -> Tensor:
    return torch.arange(length)[None] < torch.tensor([length, max(1, length // 2), 1])[:, None]


def config(tiny: Callable[..., dict[str, Any]], variant: str, first: bool, activation: str) -> dict[str, Any]:
    return tiny(
        variant,
        layers=1,
        attention={"name": "multi_head", "bias": "all"},
        ffn={"name": "mlp", "activation": activation, "bias": True},
        residual={"name": "pre" if first else "post"},
    )


def compare(outs: list[Tensor], real: Tensor, xs: list[list[Tensor]], weights: Any) -> None:
    torch.testing.assert_close(outs[0][real], outs[1][real], **CLOSE)
    for out in outs:
        (out * torch.linspace(-1, 1, out.numel()).view_as(out))[real].sum().backward()
    for x, y in zip(*xs, strict=True):
        torch.testing.assert_close(x.grad, y.grad, **GRADIENT)
    for own, other in weights:
        torch.testing.assert_close(torch.cat([part.grad for part in own]), other.grad, **GRADIENT)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("first", [False, True], ids=["post", "pre"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [1, 7, 63])
def test_a_layer_is_torchs_encoder_layer(
    length: int, causal: bool, first: bool, activation: str, tiny: Callable[..., dict[str, Any]]
) -> None:
    ours = only_layer(build(config(tiny, "encoder", first, activation), 32).get_stacks()["encoder"])
    theirs = nn.TransformerEncoderLayer(DIM, HEADS, HIDDEN, 0.0, activation, batch_first=True, norm_first=first)
    weights = copied(ours, theirs)
    real = real_of(length)
    tokens = Tokens.from_length(length, segment=torch.where(real, 0, -1))
    (x, _), (y, _) = inputs(length, 1), inputs(length, 1)
    no_position = build(tiny(position={"name": "none"}), 32).get_stacks()["decoder"].no_position
    out = ours(x, Mask(tokens, tokens, causal), no_position, no_position, None, None, None)
    hidden = torch.ones(length, length, dtype=torch.bool).triu(1) if causal else None
    expected = theirs(y, src_mask=hidden, src_key_padding_mask=~real)
    compare([out, expected], real, [[x], [y]], weights)


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("first", [False, True], ids=["post", "pre"])
@pytest.mark.parametrize(("length", "source"), [(1, 7), (7, 1), (63, 7)])
def test_a_layer_is_torchs_decoder_layer(
    length: int, source: int, first: bool, activation: str, tiny: Callable[..., dict[str, Any]]
) -> None:
    stack = build(config(tiny, "encoder_decoder", first, activation), 32).get_stacks()["decoder"]
    ours = only_layer(stack)
    theirs = nn.TransformerDecoderLayer(DIM, HEADS, HIDDEN, 0.0, activation, batch_first=True, norm_first=first)
    weights = copied(ours, theirs)
    real, read = real_of(length), real_of(source)
    tokens, memory = (Tokens.from_length(r.shape[1], segment=torch.where(r, 0, -1)) for r in (real, read))
    (x, m), (y, n) = inputs(length, source), inputs(length, source)
    across = Mask(tokens, memory)
    out = ours(x, Mask(tokens, tokens, causal=True), stack.no_position, stack.no_position, m, across, None)
    expected = theirs(
        y,
        n,
        tgt_mask=torch.ones(length, length, dtype=torch.bool).triu(1),
        tgt_key_padding_mask=~real,
        memory_key_padding_mask=~read,
    )
    compare([out, expected], real, [[x, m], [y, n]], weights)

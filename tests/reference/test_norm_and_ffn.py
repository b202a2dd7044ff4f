"""Norms against torch's own, feed-forwards against their formulas; forward and gradient."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from zoo.components.ffn.gated import Gated
from zoo.components.ffn.mlp import Mlp
from zoo.components.norm.layer import LayerNorm
from zoo.components.norm.rms import RmsNorm
from zoo.model.mask import Tokens

FORMULAS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda x: (x + x.abs()) / 2,
    "gelu": lambda x: x / 2 * (1 + torch.erf(x / 2**0.5)),
    "gelu_tanh": lambda x: x / 2 * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))),
    "quick_gelu": lambda x: x / (1 + torch.exp(-1.702 * x)),
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "squared_relu": lambda x: ((x + x.abs()) / 2) ** 2,
    "sigmoid": lambda x: 1 / (1 + torch.exp(-x)),
    "identity": lambda x: x,
}


def agree(
    ours: Callable[[Tensor], Tensor], theirs: Callable[[Tensor], Tensor], own: list[Tensor], other: list[Tensor]
) -> None:
    """Outputs and the gradients of input and weights."""
    x = torch.randn(2, 7, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
    outs = ours(x), theirs(x)
    torch.testing.assert_close(*outs, atol=1e-5, rtol=1e-5)
    weight = torch.linspace(-1, 1, outs[0].numel()).view_as(outs[0])
    grads = [
        torch.autograd.grad((out * weight).sum(), [x, *given]) for out, given in zip(outs, (own, other), strict=True)
    ]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("eps", [1e-5, 0.5])
@pytest.mark.parametrize("learned", [False, True])
def test_layer_norm_is_torchs(learned: bool, eps: float) -> None:
    ours = LayerNorm(6, eps=eps, weight=learned, bias=learned)
    theirs = nn.LayerNorm(6, eps=eps, elementwise_affine=learned)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict())
    agree(ours, theirs, list(ours.parameters()), list(theirs.parameters()))


@pytest.mark.parametrize("eps", [1e-6, 0.5])
@pytest.mark.parametrize("learned", [False, True])
def test_rms_norm_is_torchs_and_the_formula(learned: bool, eps: float) -> None:
    ours, theirs = RmsNorm(6, eps=eps, weight=learned), nn.RMSNorm(6, eps=eps, elementwise_affine=learned)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict())
    agree(ours, theirs, list(ours.parameters()), list(theirs.parameters()))
    factor = ours.weight if ours.weight is not None else 1.0
    given = list(ours.parameters())
    agree(ours, lambda x: x / (x.square().mean(dim=-1, keepdim=True) + eps).sqrt() * factor, given, given)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", FORMULAS)
def test_mlp_is_the_formula(activation: str, bias: bool) -> None:
    torch.manual_seed(0)
    mlp = Mlp(6, 10, activation=activation, bias=bias)  # type: ignore[arg-type]
    given = list(mlp.parameters())

    def formula(x: Tensor) -> Tensor:
        hidden = FORMULAS[activation](x @ mlp.up.weight.T + (mlp.up.bias if bias else 0))
        return hidden @ mlp.down.weight.T + (mlp.down.bias if bias else 0)

    agree(lambda x: mlp(x, Tokens.from_length(x.shape[1])), formula, given, given)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", FORMULAS)
def test_gated_is_the_formula(activation: str, bias: bool) -> None:
    torch.manual_seed(0)
    gated = Gated(6, 10, activation=activation, bias=bias)  # type: ignore[arg-type]
    given = list(gated.parameters())

    def formula(x: Tensor) -> Tensor:
        gate = FORMULAS[activation](x @ gated.gate.weight.T + (gated.gate.bias if bias else 0))
        up = x @ gated.up.weight.T + (gated.up.bias if bias else 0)
        return (gate * up) @ gated.down.weight.T + (gated.down.bias if bias else 0)

    agree(lambda x: gated(x, Tokens.from_length(x.shape[1])), formula, given, given)


@pytest.mark.parametrize("made", [Mlp, Gated])
def test_dropout_acts_in_training_only(made: type[Mlp] | type[Gated]) -> None:
    torch.manual_seed(0)
    ffn, x, tokens = made(6, 10, dropout=0.5), torch.randn(2, 7, 6), Tokens.from_length(7)
    assert not torch.equal(ffn(x, tokens), ffn(x, tokens))
    assert torch.equal(ffn.eval()(x, tokens), ffn(x, tokens))

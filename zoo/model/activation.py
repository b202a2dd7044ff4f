"""Activation functions by name, shared by feed-forward components and heads."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Activation = Literal["relu", "gelu", "gelu_tanh", "quick_gelu", "silu", "squared_relu", "sigmoid", "identity"]


def _quick_gelu(x: Tensor) -> Tensor:
    """Computes x * sigmoid(1.702 x), an approximation of GELU (Hendrycks and Gimpel 2016, arXiv:1606.08415)."""
    return x * torch.sigmoid(1.702 * x)


def _squared_relu(x: Tensor) -> Tensor:
    """Computes the square of ReLU (So et al. 2021, arXiv:2109.08668)."""
    return F.relu(x).square()


def _identity(x: Tensor) -> Tensor:
    """Returns ``x``; a gate without an activation is bilinear."""
    return x


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": functools.partial(F.gelu, approximate="tanh"),
    "quick_gelu": _quick_gelu,
    "silu": F.silu,
    "squared_relu": _squared_relu,
    "sigmoid": F.sigmoid,
    "identity": _identity,
}


def apply_gate(
    gate: Tensor, up: Tensor, activate: Callable[[Tensor], Tensor], clamp: float | None, up_offset: float
) -> Tensor:
    """Computes activate(gate) * (up + up_offset) elementwise.

    With ``clamp``, ``gate`` is first clamped from above and ``up`` from both sides (gpt-oss, 2025).
    """
    if clamp is not None:
        gate, up = gate.clamp(max=clamp), up.clamp(-clamp, clamp)
    return activate(gate) * (up + up_offset if up_offset else up)

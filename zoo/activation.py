"""Activation functions by name, shared by the feed-forward components."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

Activation = Literal["relu", "gelu", "gelu_tanh", "silu", "squared_relu", "sigmoid", "identity"]


def squared_relu(x: Tensor) -> Tensor:
    """The square of ReLU (So et al. 2021, arXiv:2109.08668)."""
    return F.relu(x).square()


def identity(x: Tensor) -> Tensor:
    """x itself; a gate without an activation is bilinear."""
    return x


ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": functools.partial(F.gelu, approximate="tanh"),
    "silu": F.silu,
    "squared_relu": squared_relu,
    "sigmoid": F.sigmoid,
    "identity": identity,
}

"""Arrays in a page: quantized to 16 bits or packed to single bits, as base64."""

from __future__ import annotations

import base64
from typing import Any

import torch
from torch import Tensor

_LEVELS = 65_535


def pack_numbers(values: Tensor) -> dict[str, Any]:
    """Packs finite numbers of any shape linearly between their extremes, with a relative error of 1e-5 of the range."""
    values = values.detach().double().cpu()
    low, high = (float(values.min()), float(values.max())) if values.numel() else (0.0, 0.0)
    step = (high - low) / _LEVELS or 1.0
    levels = ((values - low) / step).round().to(torch.int32).flatten()
    data = levels.numpy().astype("<u2").tobytes()
    return {"shape": list(values.shape), "low": low, "step": step, "data": _encode(data)}


def pack_bits(values: Tensor) -> dict[str, Any]:
    """Packs a bool tensor of any shape, eight values a byte, the first in the lowest bit."""
    flat = values.detach().cpu().flatten().to(torch.uint8)
    padded = torch.nn.functional.pad(flat, (0, -len(flat) % 8)).view(-1, 8)
    data = (padded << torch.arange(8, dtype=torch.uint8)).sum(dim=1).to(torch.uint8).numpy().tobytes()
    return {"shape": list(values.shape), "data": _encode(data)}


def unpack_numbers(packed: dict[str, Any]) -> Tensor:
    """Returns what :func:`pack_numbers` was given, up to its rounding."""
    data = torch.frombuffer(bytearray(base64.b64decode(packed["data"])), dtype=torch.uint16).to(torch.float64)
    values: Tensor = packed["low"] + data * packed["step"]
    return values.reshape(packed["shape"])


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")

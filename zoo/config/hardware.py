"""Precision and devices of a run, checked against the hardware of this machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

_INTEGER = re.compile(r"-?[0-9]+")


def resolve_precision(asked: str, trainer: Mapping[str, Any]) -> str:
    """Resolves ``auto`` to a precision for this hardware."""
    if asked != "auto":
        return asked
    fast = torch.cuda.is_available() and torch.cuda.is_bf16_supported() if _on_gpu(trainer) else _has_native_bfloat16()
    return "bf16-mixed" if fast else "32-true"


def find_precision_problems(asked: str, config: Mapping[str, Any]) -> list[str]:
    """Finds problems of ``16-mixed``.

    On a CPU, Lightning silently uses bfloat16 instead. A fused optimizer unscales gradients after clipping.
    """
    if asked != "16-mixed":
        return []
    problems = []
    if not _on_gpu(config["trainer"]):
        problems.append("precision: 16-mixed needs a GPU: on a CPU there are 32-true, bf16-mixed and bf16-true")
    if config["optimizer"].get("fused"):
        problems.append("precision: 16-mixed needs optimizer.fused=false: got optimizer.fused=true")
    return problems


def find_device_problems(trainer: Mapping[str, Any]) -> list[str]:
    """Finds invalid numbers of devices and nodes, for some of which Lightning reports that devices are missing."""
    devices, nodes = trainer.get("devices", 1), trainer.get("num_nodes", 1)
    problems = []
    if _is_int(devices) and (int(devices) == 0 or int(devices) < -1):
        problems.append(f"trainer.devices: must be positive, or -1 for all devices: got {devices}")
    if isinstance(devices, list) and not (devices and all(_is_int(each) and int(each) >= 0 for each in devices)):
        problems.append(f"trainer.devices: must be a list of numbers of devices, from 0 on: got {devices}")
    if _is_int(nodes) and int(nodes) < 1:
        problems.append(f"trainer.num_nodes: must be positive: got {nodes}")
    return problems


def _is_int(value: Any) -> bool:
    """True for an integer, also one that is written as text."""
    return isinstance(value, int | str) and not isinstance(value, bool) and bool(_INTEGER.fullmatch(str(value)))


def _on_gpu(trainer: Mapping[str, Any]) -> bool:
    accelerator = trainer.get("accelerator", "auto")
    return accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())


def _has_native_bfloat16() -> bool:
    """True if the CPU has instructions for bfloat16 matrix products (AVX-512 BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())

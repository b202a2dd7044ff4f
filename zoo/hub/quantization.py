"""Quantized checkpoints: their description in config.json, and dequantization of the public formats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from zoo.checks import Refused
from zoo.hub.config_views import PublishedConfig
from zoo.hub.tensor_files import Checkpoint, Header

SCALE = "_scale_inv"
"""Suffix of the scales of a weight."""
_BY_TRANSFORMERS = "AutoModelForCausalLM.from_pretrained(FOLDER, quantization_config={}).save_pretrained(NEW)"
_HOW = {
    "bitsandbytes": "AutoModelForCausalLM.from_pretrained(FOLDER).dequantize().save_pretrained(NEW)",
    "fp8": _BY_TRANSFORMERS.format("FineGrainedFP8Config(dequantize=True)"),
    "compressed-tensors": _BY_TRANSFORMERS.format("CompressedTensorsConfig(dequantize=True)"),
}
"""Code that dequantizes a folder with transformers, for the methods that it can invert."""


@dataclass(frozen=True)
class Quantization:
    """Quantization of the weights of a checkpoint.

    Attributes:
        method: ``quant_method`` of ``quantization_config``.
        block: number of rows and columns of a weight that share one scale; None if the method has no such blocks.
        dtype: dtype of the dequantized weights.
    """

    method: str
    block: tuple[int, int] | None
    dtype: torch.dtype

    @property
    def is_readable(self) -> bool:
        """True if the weights can be dequantized: fp8 with a scale for each block, or mxfp4."""
        return self.method == "mxfp4" or (self.method == "fp8" and self.block is not None)

    def open(self, checkpoint: Checkpoint) -> Checkpoint:
        """Returns a checkpoint that dequantizes the weights when they are read.

        Raises:
            Refused: if the method is not supported, or weights and scales do not match.
        """
        self.require_readable()
        return Mxfp4Checkpoint(checkpoint, self) if self.method == "mxfp4" else Fp8Checkpoint(checkpoint, self)

    def __str__(self) -> str:
        return self.method + (f" in blocks of {self.block[0]} x {self.block[1]}" if self.block else "")

    def require_readable(self) -> None:
        """Raises :class:`Refused` if the weights cannot be dequantized; the message says how to do so elsewhere."""
        if not self.is_readable:
            how = _HOW.get(self.method)
            way = (
                f"with transformers: {how}" if how else "with the tool that quantized them, or use the original folder"
            )
            raise Refused(f"the weights are quantized ({self}), which cannot be read: dequantize them first, {way}")


def read_quantization(config: PublishedConfig) -> Quantization | None:
    """Reads ``quantization_config``; returns None if the weights are not quantized."""
    given = config.take_any("quantization_config")
    if given is None or given == {}:
        return None
    if not isinstance(given, Mapping):
        config.refuse("quantization_config", "must be a mapping", given)
        return None
    method = given.get("quant_method") or given.get("quant_algo") or _infer_method(given)
    block = given.get("weight_block_size")
    if block is not None and not _is_block(block):
        config.refuse("quantization_config.weight_block_size", "must be two positive numbers", block)
        return None
    return Quantization(str(method), (block[0], block[1]) if block else None, _get_plain_dtype(config))


def _get_plain_dtype(config: PublishedConfig) -> torch.dtype:
    """Returns the dtype of dequantized weights; bfloat16 if config.json has none."""
    dtype = getattr(torch, str(config.get("dtype") or config.get("torch_dtype")), None)
    if isinstance(dtype, torch.dtype) and dtype.is_floating_point and dtype.itemsize > 1:
        return dtype
    return torch.bfloat16


def _infer_method(given: Mapping[str, Any]) -> str:
    """Infers the method of a config that does not name it."""
    return "bitsandbytes" if {"load_in_4bit", "load_in_8bit"} & set(given) else "unknown method"


def _is_block(block: Any) -> bool:
    return isinstance(block, list) and len(block) == 2 and all(type(size) is int and size > 0 for size in block)


class Fp8Checkpoint:
    """A checkpoint with dequantized fp8 weights: each value times the scale of its block.

    Source: DeepSeek-AI 2024 (DeepSeek-V3, arXiv:2412.19437), fine-grained quantization.

    Args:
        checkpoint: the checkpoint, with ``NAME`` in fp8 and ``NAME_scale_inv``; other weights are not quantized.
        quantization: the description in config.json.
    Raises:
        Refused: if the shape of scales does not match the blocks.
    """

    def __init__(self, checkpoint: Checkpoint, quantization: Quantization) -> None:
        self._checkpoint, self._block = checkpoint, quantization.block or (1, 1)
        self._dtype = quantization.dtype
        headers: dict[str, Header] = {}
        for name, header in checkpoint.headers.items():
            scale = checkpoint.headers.get(name + SCALE)
            if scale is not None:
                self._require_blocks(name, header, scale)
                headers[name] = replace(header, dtype=self._dtype)
            elif not name.endswith(SCALE) or name.removesuffix(SCALE) not in checkpoint.headers:
                headers[name] = header
        self.headers: Mapping[str, Header] = headers

    def _require_blocks(self, name: str, weight: Header, scale: Header) -> None:
        if len(weight.shape) != 2 or weight.dtype != torch.float8_e4m3fn:
            raise Refused(f"{name} has scales and must be a matrix of fp8 (e4m3): got {weight.dtype} {weight.shape}")
        expected = tuple(-(-size // block) for size, block in zip(weight.shape, self._block, strict=True))
        if scale.shape != expected:
            raise Refused(f"{name}{SCALE} must be {list(expected)} to match the blocks: got {list(scale.shape)}")

    def read(self, name: str) -> Tensor:
        """Reads a tensor into newly allocated memory."""
        tensor = self._checkpoint.read(name)
        if name + SCALE not in self._checkpoint.headers:
            return tensor
        scale = self._checkpoint.read(name + SCALE).float()  # [rows / block, columns / block], rounded up
        for dim, block in enumerate(self._block):
            scale = scale.repeat_interleave(block, dim=dim).narrow(dim, 0, tensor.shape[dim])
        return (tensor.float() * scale).to(self._dtype)


BLOCKS, SCALES = "_blocks", "_scales"
"""Suffixes of mxfp4 weights: packed values, and the exponents of their scales."""
FP4 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)
"""Values of the format e2m1 by their four bits."""


class Mxfp4Checkpoint:
    """A checkpoint with dequantized mxfp4 weights: blocks of 32 four-bit values with a common power of two.

    Each byte contains two values, lower bits first. ``NAME_blocks`` is ``[experts, outputs, inputs / 32, 16]``,
    ``NAME_scales`` the exponents plus 127, and ``NAME`` becomes ``[experts, inputs, outputs]``. Source: Open Compute
    Project 2023 (Microscaling Formats, MX v1.0); OpenAI 2025 (gpt-oss, arXiv:2508.10925).

    Args:
        checkpoint: the checkpoint; its other weights are not quantized.
        quantization: the description in config.json.
    Raises:
        Refused: if scales are missing or do not match the blocks.
    """

    def __init__(self, checkpoint: Checkpoint, quantization: Quantization) -> None:
        self._checkpoint, self._dtype = checkpoint, quantization.dtype
        names = {name.removesuffix(BLOCKS) for name in checkpoint.headers if name.endswith(BLOCKS)}
        self.headers: Mapping[str, Header] = {
            **{name: Header(self._get_shape(name), self._dtype) for name in sorted(names)},
            **{name: each for name, each in checkpoint.headers.items() if not self._is_part(name, names)},
        }

    def _is_part(self, name: str, names: set[str]) -> bool:
        return name.endswith((BLOCKS, SCALES)) and name.removesuffix(BLOCKS).removesuffix(SCALES) in names

    def _get_shape(self, name: str) -> tuple[int, ...]:
        blocks, scales = self._checkpoint.headers[name + BLOCKS], self._checkpoint.headers.get(name + SCALES)
        if len(blocks.shape) != 4 or blocks.shape[-1] != 16 or scales is None or scales.shape != blocks.shape[:-1]:
            got = None if scales is None else list(scales.shape)
            raise Refused(
                f"{name}{BLOCKS} must be [experts, outputs, groups, 16] and {name}{SCALES} [experts, outputs, groups]: "
                f"got {list(blocks.shape)} and {got}"
            )
        experts, outputs, groups, _ = blocks.shape
        return experts, groups * 32, outputs

    def read(self, name: str) -> Tensor:
        """Reads a tensor into newly allocated memory."""
        if name + BLOCKS not in self._checkpoint.headers:
            return self._checkpoint.read(name)
        packed = self._checkpoint.read(name + BLOCKS)
        exponent = self._checkpoint.read(name + SCALES).to(torch.int32) - 127
        numbers = torch.tensor(FP4)
        halves = [numbers[half.long()] for half in (packed & 15, packed >> 4)]
        values = torch.stack(halves, dim=-1).flatten(-2)  # [experts, outputs, groups, 32]
        plain = torch.ldexp(values, exponent[..., None]).flatten(-2)  # [experts, outputs, inputs]
        return plain.mT.to(self._dtype).contiguous()

"""Operations that an implementation executes, counted by torch on the meta device."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from zoo.model.footprint import create_blank_inputs, get_structure, run_distinct_layers
from zoo.model.inputs import Inputs
from zoo.model.variants.variant import Variant


def create_flop_counter() -> FlopCounterMode:
    """Creates torch's counter of matrix products, extended by triangular solves, which torch does not count."""
    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.linalg_solve_triangular: _count_solve_flops})


def _count_solve_flops(system: Any, right: Any, *given: Any, out_shape: Any = None, **more: Any) -> int:
    """Counts the operations of a triangular solve as kernels execute it: size² for each right-hand side."""
    return int(torch.Size(right).numel() * system[-1])


class _TokensToLogits(nn.Module):
    """Wraps a model so that forward returns logits, or hidden states without a head, and module names are unique."""

    def __init__(self, model: Variant) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Inputs) -> Tensor:
        hidden = self.model.compute_hidden(inputs)
        return hidden if self.model.head is None else self.model.logits(hidden)


_counted: dict[Hashable, tuple[int, int]] = {}


def measure_executed_flops(model: Variant, length: int, source: int) -> tuple[int, int]:
    """Measures the operations that this implementation executes for one row, including masked pairs and padding.

    Args:
        model: a model on the meta device. Equal layers are counted once; results are cached by structure.
        length: tokens of the row.
        source: tokens of the row in the encoder; ignored without an encoder.
    Returns:
        forward and backward operations.
    """
    source = source if len(model.get_stacks()) > 1 else 0
    key = get_structure(model), length, source
    if key not in _counted:
        _counted[key] = _measure(model, length, source)
    return _counted[key]


def measure_executed_flops_per_token(model: Variant, length: int, source: int) -> int | None:
    """Measures the operations that this implementation executes in a training step, for each token read.

    Returns None if a component's backward pass does not run on the meta device, so that a training goes on;
    ``zoo check`` reports such a component.
    """
    read = length + (source if len(model.get_stacks()) > 1 else 0)
    try:
        return round(sum(measure_executed_flops(model, length, source)) / read)
    except (NotImplementedError, RuntimeError):
        return None


def _measure(model: Variant, length: int, source: int) -> tuple[int, int]:
    with run_distinct_layers(model, 1) as stand_ins, torch.enable_grad():
        whole = _TokensToLogits(model)
        names = {module: f"{type(whole).__name__}.{name}" for name, module in whole.named_modules()}
        further = [names[stand_in] for layer, stand_in in stand_ins.items() if layer is not stand_in]
        with create_flop_counter() as counter:
            out = whole(create_blank_inputs(length, source))
            forward = _sum_counts(counter, further)
            out.sum().backward()
        return forward, _sum_counts(counter, further) - forward


def _sum_counts(counter: FlopCounterMode, further: list[str]) -> int:
    counts = counter.get_flop_counts()
    return counter.get_total_flops() + sum(sum(counts[name].values()) for name in further if name in counts)

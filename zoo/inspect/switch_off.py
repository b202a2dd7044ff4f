"""Switches off a part of a model: a head, a sublayer, a norm or a residual connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from zoo.inspect.ablation_targets import SUBLAYERS, Target, find_output, find_target, list_norms
from zoo.inspect.trace import make_constant
from zoo.model.interfaces import Residual
from zoo.model.stack import Layer, Stack
from zoo.model.variants.variant import Variant


@contextmanager
def switch_off(model: Variant, name: str) -> Iterator[None]:
    """Switches off a part of a model inside the block, by hooks that are removed afterwards.

    A sublayer that is off returns zeros. A head that is off has zeros in its features of the input of the output
    projection. A norm that is off returns what it is given. A residual connection is off if the layer hands on what
    its sublayers returned, without what it was given: with R(x, o₁, o₂, …) as in
    :class:`zoo.inspect.trace.LayerTrace`, its output is R(0, o₁, o₂, …). With pre-norm that is Y = F(x) instead of
    Y = x + F(x). Of layers that share weights, only the one that is named is changed.

    Args:
        model: any variant.
        name: name of the part, as in :class:`zoo.inspect.ablation_targets.Target`.
    Raises:
        Refused: if there is no such part.
    """
    target = find_target(model, name)
    handles: list[RemovableHandle] = []
    try:
        handles.extend(_register(model.get_stacks()[target.stack], target))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _register(stack: Stack, target: Target) -> Iterator[RemovableHandle]:
    if target.layer is None:
        yield getattr(stack, target.part).register_forward_hook(lambda norm, given, output: given[0])
        return
    layer = stack.list_applied_layers()[target.layer]
    calls = _LayerCalls(target.layer)
    yield from calls.register(stack)
    if target.kind == "sublayer":
        hook: Any = lambda part, given, output: torch.zeros_like(output)  # noqa: E731
        yield getattr(layer, target.part).register_forward_hook(calls.limit(hook))
    elif target.kind == "head":
        attention = getattr(layer, target.part)
        output = find_output(attention)
        assert output is not None
        yield output.register_forward_pre_hook(calls.limit(_make_head_hook(target.number or 0, attention.output_heads)))
    elif target.kind == "norm":
        norm = list_norms(layer)[target.number or 0]
        yield norm.register_forward_hook(calls.limit(lambda norm, given, output: given[0]))
    else:
        yield from _SkipSwitch(calls).register(layer)


class _LayerCalls:
    """Counts the layers that a stack has begun in a pass, since layers that share weights are one module.

    Args:
        number: number of the layer that is meant.
    """

    def __init__(self, number: int) -> None:
        self.number, self.begun = number, 0

    def register(self, stack: Stack) -> Iterator[RemovableHandle]:
        """Registers the hooks that count."""
        yield stack.register_forward_pre_hook(self._begin_pass)
        for layer in stack.list_distinct_layers():
            yield layer.register_forward_pre_hook(self._begin_layer)

    def _begin_pass(self, stack: Any, given: Any) -> None:
        self.begun = 0

    def _begin_layer(self, layer: Any, given: Any) -> None:
        self.begun += 1

    def limit(self, hook: Callable[..., Any]) -> Callable[..., Any]:
        """Limits a hook to the layer that is meant."""
        return lambda *given: hook(*given) if self.begun == self.number + 1 else None


def _make_head_hook(head: int, heads: int) -> Callable[[Any, tuple[Tensor]], Tensor]:
    def remove(output: Any, given: tuple[Tensor]) -> Tensor:
        x = given[0].clone()  # [batch, length, heads * width]
        width = x.shape[-1] // heads
        x[..., head * width : (head + 1) * width] = 0
        return x

    return remove


class _SkipSwitch:
    """Replaces the output of a residual component by R(0, o₁, o₂, …)."""

    def __init__(self, calls: _LayerCalls) -> None:
        self.calls = calls
        self.outputs: list[Tensor] = []

    def register(self, layer: Layer) -> Iterator[RemovableHandle]:
        """Registers the hooks of a layer."""
        for name in SUBLAYERS:
            if (part := getattr(layer, name)) is not None:
                yield part.register_forward_hook(self.calls.limit(self._keep))
        yield layer.residual.register_forward_hook(self.calls.limit(self._replace))

    def _keep(self, part: Any, given: Any, output: Tensor) -> None:
        self.outputs.append(output)

    def _replace(self, residual: Residual, given: tuple[Any, ...], output: Tensor) -> Tensor:
        outputs, self.outputs = self.outputs, []
        return residual.forward(torch.zeros_like(given[0]), [make_constant(kept) for kept in outputs])

"""Traces a forward pass: what each sublayer reads and writes, how the residual stream changes, who attends to whom.

The trace is taken by hooks, so a model that is not traced pays nothing, and a traced one computes what it always does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from zoo.model.capture import AttentionRecord, capture
from zoo.model.inputs import Inputs
from zoo.model.interfaces import Residual, Sublayer
from zoo.model.stack import Layer, Stack
from zoo.model.variants.variant import Variant

Summarize = Callable[[str, str, AttentionRecord], Any]
"""Function of the names of a stack and of a sublayer, and a record of its attention."""


@dataclass
class SublayerTrace:
    """Inputs and outputs of a sublayer in one call.

    Args:
        name: ``attention``, ``cross`` or ``ffn``.
        input: what it read, after its norm if that comes first ``[batch, length, dim]``.
        output: what it returned ``[batch, length, dim]``.
        change: ΔE, what its output adds to the stream ``[batch, length, dim]``; see :class:`LayerTrace`.
        attention: records of its attention weights, or what ``summarize`` made of them; empty in a feed-forward, and in
            mixers without weights.
    """

    name: str
    input: Tensor
    output: Tensor
    change: Tensor
    attention: tuple[Any, ...] = ()


@dataclass
class LayerTrace:
    """Residual stream before and after a layer, and what changed it.

    ``before`` plus ``wiring`` plus the ``change`` of every sublayer is ``after``. Let R(o₁, o₂, …) be the output of the
    residual component if its sublayers return o₁, o₂, …. Then ``wiring`` is R(0, 0, …) - ``before``, and the change of
    sublayer i is R(o₁, …, oᵢ, 0, …) - R(o₁, …, oᵢ₋₁, 0, …). With pre-norm this is simply oᵢ, and ``wiring`` is zero.

    Args:
        before: residual stream before the layer ``[batch, length, dim]``; several streams are reduced to one.
        after: residual stream after it.
        wiring: what the residual component does to the stream by itself (norms of the sum, gates, scales).
        sublayers: calls of the sublayers, in order.
    """

    before: Tensor
    after: Tensor
    wiring: Tensor
    sublayers: tuple[SublayerTrace, ...]


@dataclass
class StackTrace:
    """A pass through a stack.

    Args:
        name: name of the stack in the model.
        layers: the applied layers, in order.
        hidden: output of the stack, after its final norm ``[batch, length, dim]``.
    """

    name: str
    layers: list[LayerTrace] = field(default_factory=list)
    hidden: Tensor = field(default_factory=lambda: torch.empty(0))

    @property
    def streams(self) -> list[Tensor]:
        """The residual stream before each layer and after the last, each ``[batch, length, dim]``."""
        return [layer.before for layer in self.layers] + [self.layers[-1].after]


@dataclass(frozen=True)
class Trace:
    """A pass through a model.

    Args:
        inputs: what the model read.
        stacks: its stacks by name, an encoder before its decoder.
        logits: ``[batch, length, vocabulary]``; None without a head.
    """

    inputs: Inputs
    stacks: dict[str, StackTrace]
    logits: Tensor | None


@torch.no_grad()
def trace_model(model: Variant, inputs: Inputs, summarize: Summarize | None = None) -> Trace:
    """Runs a model in evaluation mode and records what happens inside.

    Args:
        model: any variant; its mode and its hooks are as before afterwards.
        inputs: tokens, and the source of an encoder-decoder.
        summarize: replaces each record of attention, which is quadratic in the length, by something smaller; None keeps
            the records.
    """
    stacks = {name: StackTrace(name) for name in model.get_stacks()}
    was_training = model.training
    model.eval()
    try:
        with capture() as records, _watch_stacks(model, stacks, records, summarize):
            hidden = model.compute_hidden(inputs)
            logits = None if model.head is None else model.logits(hidden)
    finally:
        model.train(was_training)
    return Trace(inputs, stacks, logits)


@contextmanager
def _watch_stacks(
    model: Variant, stacks: dict[str, StackTrace], records: list[AttentionRecord], summarize: Summarize | None
) -> Iterator[None]:
    handles: list[RemovableHandle] = []
    try:
        for name, stack in model.get_stacks().items():
            handles.append(stack.register_forward_hook(_make_stack_hook(stacks[name])))
            for layer in stack.list_distinct_layers():
                handles += _LayerWatch(layer, stacks[name], records, summarize).register()
        yield
    finally:
        for handle in handles:
            handle.remove()


def _make_stack_hook(trace: StackTrace) -> Any:
    def keep(stack: Stack, given: Any, hidden: Tensor) -> None:
        trace.hidden = hidden

    return keep


class _LayerWatch:
    """Hooks of one layer, which may be called several times in a pass (shared weights)."""

    def __init__(
        self, layer: Layer, trace: StackTrace, records: list[AttentionRecord], summarize: Summarize | None
    ) -> None:
        self.layer, self.trace, self.records, self.summarize = layer, trace, records, summarize
        self.calls: list[tuple[str, Tensor, Tensor, tuple[Any, ...]]] = []

    def register(self) -> Iterator[RemovableHandle]:
        """Registers the hooks and yields their handles."""
        yield self.layer.register_forward_hook(self._end_layer)
        for name in ("attention", "cross", "ffn"):
            if (part := getattr(self.layer, name)) is not None:
                yield part.register_forward_hook(self._make_sublayer_hook(name))

    def _make_sublayer_hook(self, name: str) -> Any:
        def keep(part: Any, given: tuple[Any, ...], output: Tensor) -> None:
            seen: list[Any] = [*self.records]
            self.records.clear()
            if self.summarize is not None:
                seen = [self.summarize(self.trace.name, name, record) for record in seen]
            self.calls.append((name, given[0], output, tuple(seen)))

        return keep

    def _end_layer(self, layer: Layer, given: tuple[Any, ...], output: Tensor) -> None:
        calls, self.calls = self.calls, []
        states = compute_states(layer.residual, given[0], [output for _, _, output, _ in calls])
        before, after = layer.residual.narrow(given[0]), layer.residual.narrow(output)
        states[-1] = after if calls else states[-1]
        self.trace.layers.append(
            LayerTrace(
                before,
                after,
                states[0] - before,
                tuple(
                    SublayerTrace(name, read, wrote, states[i + 1] - states[i], seen)
                    for i, (name, read, wrote, seen) in enumerate(calls)
                ),
            )
        )


def compute_states(residual: Residual, x: Tensor, outputs: Sequence[Tensor]) -> list[Tensor]:
    """Computes R(0, …), R(o₁, 0, …), …, R(o₁, …, oₙ) of a residual component, each ``[batch, length, dim]``.

    Args:
        residual: the residual component of a layer.
        x: what the layer was given.
        outputs: what its sublayers returned, o₁, …, oₙ.
    """
    states = []
    for known in range(len(outputs) + 1):
        values = [output if i < known else torch.zeros_like(output) for i, output in enumerate(outputs)]
        states.append(residual.narrow(residual(x, [make_constant(value) for value in values])))
    return states


def make_constant(value: Tensor) -> Sublayer:
    """Makes a sublayer that returns ``value``, whatever it reads."""
    return lambda _: value

"""Memory of a model for one row: caches in decoding, saved activations in training.

The model runs on the meta device and the bytes that it would keep are counted. Of equal layers only one or two run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode

from zoo.model.inputs import Inputs
from zoo.model.stack import Layer, Stack
from zoo.model.variants.variant import Variant

Bytes = Counter[nn.Module]
"""Bytes by module, without those of its submodules."""

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))


def measure_activations(model: Variant, length: int, source: int) -> Bytes:
    """Measures what autograd saves for the backward pass of one row, by the module that saves it first.

    What the first of equal layers saves for the others, too, such as rotary tables, counts for their stack. The
    forward pass ends at the logits, or at the hidden states without a head. Parameters and buffers do not count.

    Args:
        model: a model on the meta device, in training or evaluation mode.
        length: tokens of the row.
        source: tokens of the row in the encoder of an encoder-decoder.
    """

    def run() -> Tensor:
        hidden = model.compute_hidden(create_blank_inputs(length, source))
        return hidden if model.head is None else model.logits(hidden)

    with run_distinct_layers(model, 2) as stands:
        kept = measure_saved_tensors(model, run)
        for stack in model.get_stacks().values():
            if stack.depth == len(stack.layers):  # each layer runs once
                _move_shared_tensors(kept, stack)
    return _extend_to_all(kept, stands)


def _move_shared_tensors(kept: Bytes, stack: Stack) -> None:
    """Counts for the stack what the first of equal layers saves beyond the others."""
    first: dict[Hashable, Layer] = {}
    for layer in stack.list_distinct_layers():
        one = first.setdefault(get_structure(layer), layer)
        for module, likewise in zip(one.modules(), layer.modules(), strict=True):
            shared = max(0, kept[module] - kept[likewise])
            kept[module] -= shared
            kept[stack] += shared


def measure_caches(model: Variant, length: int, source: int) -> Bytes:
    """Measures the caches after ``length`` tokens, by attention; empty for encoders, which do not decode."""
    found: Bytes = Counter()
    if not model.reader.causal:
        return found
    was_training = model.training
    with run_distinct_layers(model.eval(), 1) as stands, torch.no_grad():
        empty = model.reader.create_caches(length, source)
        model.compute_hidden(create_blank_inputs(length, source), empty)
        for layer, cache in zip(model.reader.list_applied_layers(), empty, strict=True):
            for part, memory in ((layer.attention, cache.attention), (layer.cross, cache.cross)):
                if part is not None and memory is not None:
                    found[part] += memory.bytes
    model.train(was_training)
    return _extend_to_all(found, stands)


def measure_saved_tensors(model: nn.Module, run: Callable[[], object]) -> Bytes:
    """Measures the distinct storages that autograd saves in ``run``, by the innermost running module of ``model``."""
    kept: Bytes = Counter()
    at_work: list[nn.Module] = [model]
    known: dict[int, Tensor] = {_get_storage_id(item): item for item in (*model.parameters(), *model.buffers())}

    def keep(tensor: Tensor) -> Tensor:
        if _get_storage_id(tensor) not in known:
            known[_get_storage_id(tensor)] = tensor  # keeps the storage alive, so that its id is not reused
            kept[at_work[-1]] += tensor.untyped_storage().nbytes()
        return tensor

    with _track_modules(model, at_work), saved_tensors_hooks(keep, lambda tensor: tensor), _FusedAttention():
        run()
    return kept


def _get_storage_id(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def create_blank_inputs(length: int, source: int) -> Inputs:
    """Creates one row on the meta device, with a source if ``source`` is positive."""
    tokens, read = (torch.zeros(1, number, dtype=torch.long, device="meta") for number in (length, source))
    return Inputs(tokens, source=read if source else None)


@contextmanager
def _track_modules(model: nn.Module, at_work: list[nn.Module]) -> Iterator[None]:
    """Keeps the modules whose forward is running on the stack ``at_work``."""

    def begin(module: nn.Module, given: Any) -> None:
        at_work.append(module)

    def end(module: nn.Module, given: Any, result: Any) -> None:
        at_work.pop()

    handles = [module.register_forward_pre_hook(begin) for module in model.modules()]
    handles += [module.register_forward_hook(end) for module in model.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


# ------------------------------------------------------------------------------------------------ layers that are alike


@contextmanager
def run_distinct_layers(model: Variant, most: int) -> Iterator[dict[Layer, Layer]]:
    """Reduces the stacks of a model to at most ``most`` of each set of equal layers inside the block.

    The first of equal layers may save activations that the others share, such as the encoder's output, so with
    ``most=2`` the second represents the rest. Stacks whose layers share weights are not reduced.

    Yields:
        the layer that represents each layer.
    """
    whole = [(stack, stack.layers, stack.depth) for stack in model.get_stacks().values()]
    stands: dict[Layer, Layer] = {}
    try:
        for stack, _, depth in whole:
            kinds: dict[Hashable, list[Layer]] = {}
            for layer in stack.list_distinct_layers() if depth == len(stack.layers) else ():
                alike = kinds.setdefault(get_structure(layer), [])
                alike.append(layer)
                stands[layer] = alike[:most][-1]
            if kinds:
                left = [layer for layer in stack.list_distinct_layers() if stands[layer] is layer]
                stack.layers, stack.depth = nn.ModuleList(left), len(left)
        yield stands
    finally:
        for stack, layers, depth in whole:
            stack.layers, stack.depth = layers, depth


def get_structure(module: nn.Module) -> Hashable:
    """Returns a hashable description of a module, equal for modules that differ only in the values of their weights."""
    own = {name: repr(value) for name, value in vars(module).items() if name not in _OF_EVERY_MODULE}
    tensors = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
    shapes = tuple((name, tensor.shape, tensor.dtype) for name, tensor in tensors)
    parts = tuple((name, get_structure(part)) for name, part in module.named_children())
    return type(module), tuple(own.items()), shapes, parts


def _extend_to_all(found: Bytes, stands: Mapping[Layer, Layer]) -> Bytes:
    """Copies the bytes of the layers that ran to the layers that they represent."""
    total = Counter(found)
    for layer, one in stands.items():
        for module, likewise in zip(layer.modules(), one.modules(), strict=True):
            total[module] = found[likewise]
    return total


# ------------------------------------------------------------------------------------------------------------- kernels


class _FusedAttention(TorchFunctionMode):
    """Replaces attention on the meta device, where torch would save all weights, by what a fused kernel saves."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is F.scaled_dot_product_attention and args[0].is_meta:
            mask = kwargs.get("attn_mask")
            if mask is None or not mask.requires_grad:  # the gradient of a learned bias needs the weights
                additive = mask.to(args[0].dtype) if mask is not None and mask.dtype == torch.bool else mask
                return _Fused.apply(*args[:3], additive)  # type: ignore[no-untyped-call]
        return function(*args, **kwargs)


class _Fused(torch.autograd.Function):
    """Saves what FlashAttention saves (Dao et al. 2022, arXiv:2205.14135): one normalizer per query, no weights.

    It computes no values and has no backward pass.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, additive: Tensor | None) -> Tensor:
        """Returns an empty tensor ``[batch, heads, query, value_dim]``."""
        same = q.shape[-1] == v.shape[-1]  # then its memory layout is that of the queries
        out = torch.empty_like(q) if same else q.new_empty(*q.shape[:-1], v.shape[-1])
        normalizer = q.new_empty(q.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(q, k, v, additive, out, normalizer)
        return out

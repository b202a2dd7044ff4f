"""What a model holds in memory for one row: caches in decoding, saved tensors in training; measured without memory.

A model on the meta device runs, and what it would keep is counted. Of layers that are alike one or two run.
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

from zoo.model.interfaces import Inputs
from zoo.model.stack import Layer
from zoo.model.variants.variant import Variant

Bytes = Counter[nn.Module]
"""By module, without what its parts hold."""

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))


def measure_activations(model: Variant, length: int, source: int) -> Bytes:
    """What autograd keeps for the backward pass of one row, by the module that keeps it first.

    It is counted up to the logits, or to hidden states where the model has no head.

    Parameters and buffers are left out, as they are there anyway.

    Args:
        model: on the meta device, in the mode in which it is to be counted.
        length: tokens of the row.
        source: tokens of the row in the encoder of an encoder-decoder.
    """

    def run() -> Tensor:
        hidden = model.compute_hidden(create_blank_inputs(length, source))
        return hidden if model.head is None else model.logits(hidden)

    with run_distinct_layers(model, 2) as stands:
        kept = measure_saved_tensors(model, run)
    return _extend_to_all(kept, stands)


def measure_caches(model: Variant, length: int, source: int) -> Bytes:
    """What decoding remembers after ``length`` tokens, by attention; nothing where later tokens are seen."""
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
    """Bytes that autograd keeps of ``run``: distinct storages, by the innermost module of ``model`` at work."""
    kept: Bytes = Counter()
    at_work: list[nn.Module] = [model]
    known: dict[int, Tensor] = {_get_storage_id(item): item for item in (*model.parameters(), *model.buffers())}

    def keep(tensor: Tensor) -> Tensor:
        if _get_storage_id(tensor) not in known:
            known[_get_storage_id(tensor)] = tensor  # holds the storage, so that its number is not given again
            kept[at_work[-1]] += tensor.untyped_storage().nbytes()
        return tensor

    with _track_modules(model, at_work), saved_tensors_hooks(keep, lambda tensor: tensor), _FusedAttention():
        run()
    return kept


def _get_storage_id(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def create_blank_inputs(length: int, source: int) -> Inputs:
    """One row on the meta device, and a source where it has tokens."""
    tokens, read = (torch.zeros(1, number, dtype=torch.long, device="meta") for number in (length, source))
    return Inputs(tokens, source=read if source else None)


@contextmanager
def _track_modules(model: nn.Module, at_work: list[nn.Module]) -> Iterator[None]:
    """Keep the modules whose forward is running on a stack."""

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
    """Leave ``most`` layers of those in a stack that are alike; gives for each layer the one that stands for it.

    Of activations the first may keep what the others find kept, like what an encoder says to all of them, so the second
    stands for them. Stacks whose layers share weights stay as they are.
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
    """All that decides what a module does, but for the values of its weights."""
    own = {name: repr(value) for name, value in vars(module).items() if name not in _OF_EVERY_MODULE}
    tensors = (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
    shapes = tuple((name, tensor.shape, tensor.dtype) for name, tensor in tensors)
    parts = tuple((name, get_structure(part)) for name, part in module.named_children())
    return type(module), tuple(own.items()), shapes, parts


def _extend_to_all(found: Bytes, stands: Mapping[Layer, Layer]) -> Bytes:
    """What was found in those layers that ran, for all that they stand for."""
    total = Counter(found)
    for layer, one in stands.items():
        for module, likewise in zip(layer.modules(), one.modules(), strict=True):
            total[module] = found[likewise]
    return total


# ------------------------------------------------------------------------------------------------------------- kernels


class _FusedAttention(TorchFunctionMode):
    """On the meta device torch writes softmax attention out, with all its weights, which no fused kernel keeps."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function is F.scaled_dot_product_attention and args[0].is_meta:
            mask = kwargs.get("attn_mask")
            if mask is None or not mask.requires_grad:  # the gradient of a learned bias needs the weights
                additive = mask.to(args[0].dtype) if mask is not None and mask.dtype == torch.bool else mask
                return _Fused.apply(*args[:3], additive)  # type: ignore[no-untyped-call]
        return function(*args, **kwargs)


class _Fused(torch.autograd.Function):
    """Keeps what FlashAttention keeps (Dao et al. 2022, arXiv:2205.14135): a number for each query, not for each pair.

    It computes nothing and cannot go backward.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, additive: Tensor | None) -> Tensor:
        """``[batch, heads, query, value_dim]``, without values."""
        same = q.shape[-1] == v.shape[-1]  # then it lies in memory in the order of the queries
        out = torch.empty_like(q) if same else q.new_empty(*q.shape[:-1], v.shape[-1])
        normalizer = q.new_empty(q.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(q, k, v, additive, out, normalizer)
        return out

"""View of shapes: every call of a module in one forward pass, with the shapes that it reads and writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from zoo.inspect.source_code import SourceCode, read_forward
from zoo.model.cost import build_on_meta
from zoo.model.footprint import create_blank_inputs
from zoo.model.plan import ModelPlan


@dataclass(frozen=True)
class TensorShape:
    """A tensor that a module reads or writes.

    Args:
        name: name of the argument of ``forward``; ``output`` for what it returns, numbered if there are several.
        shape: sizes of the axes; the first is the batch.
        dtype: element type, such as ``float32``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class ModuleCall:
    """A call of a module, or several calls in a row of modules that are equal.

    Args:
        path: path of the module in the model, as in its state dict; empty for the model itself.
        last: path of the last of equal modules; ``path`` if there is only one.
        count: number of equal calls in a row.
        depth: number of calls that it was made in.
        component: name of the class.
        inputs: tensors among its arguments.
        outputs: tensors that it returned.
        location: file and line of the ``forward`` that ran, a key of ``ShapeWalk.code``.
    """

    path: str
    last: str
    count: int
    depth: int
    component: str
    inputs: tuple[TensorShape, ...]
    outputs: tuple[TensorShape, ...]
    location: str


@dataclass(frozen=True)
class ShapeWalk:
    """Calls of modules in the order in which they began.

    Args:
        rows: rows of the batch.
        length: tokens of a row.
        source: tokens of a row of the encoder in an encoder-decoder, otherwise 0.
        calls: the calls; what was called inside of a call follows it, with a larger ``depth``.
        code: source of each ``forward``, by its location.
    """

    rows: int
    length: int
    source: int
    calls: tuple[ModuleCall, ...]
    code: dict[str, SourceCode]


@dataclass
class _Node:
    call: ModuleCall
    inner: list[_Node] = field(default_factory=list)


def walk_shapes(plan: ModelPlan, vocabulary: int, length: int, *, rows: int = 1) -> ShapeWalk:
    """Walks one batch through the model of a plan on the meta device, without memory for its weights.

    Of consecutive layers that are equal the first is described, with their number.

    Args:
        plan: a plan without problems, such as ``plan`` of a loaded model.
        vocabulary: vocabulary size of the data; that of the plan is used if it has one.
        length: tokens of a row, and of the source in an encoder-decoder.
        rows: rows of the batch.
    """
    model = build_on_meta(plan, vocabulary).eval()
    source = length if len(model.get_stacks()) > 1 else 0
    inputs = create_blank_inputs(length, source)
    code: dict[type, SourceCode] = {}
    root: list[_Node] = []
    with torch.no_grad(), _record_calls(model, root, code):
        given = [tokens.expand(rows, -1) for tokens in (inputs.source, inputs.tokens) if tokens is not None]
        if model.head is None:
            model.hidden_states(*given)  # type: ignore[operator]
        else:
            model(*given)
    calls = tuple(_list_calls(root, 0))
    return ShapeWalk(rows, length, source, calls, {found.location: found for found in code.values()})


@contextmanager
def _record_calls(model: nn.Module, root: list[_Node], code: dict[type, SourceCode]) -> Iterator[None]:
    paths = {module: path for path, module in model.named_modules()}
    open_nodes: list[list[_Node]] = [root]

    def begin(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        found = code[type(module)] = code.get(type(module)) or read_forward(type(module))
        inputs = tuple(_describe_arguments(found.arguments, args, kwargs))
        path = paths[module]
        node = _Node(ModuleCall(path, path, 1, 0, type(module).__name__, inputs, (), found.location))
        open_nodes[-1].append(node)
        open_nodes.append(node.inner)

    def end(module: nn.Module, args: Any, output: Any) -> None:
        open_nodes.pop()
        node = open_nodes[-1][-1]
        node.call = replace(node.call, outputs=tuple(_describe_outputs(output)))

    handles = [module.register_forward_pre_hook(begin, with_kwargs=True) for module in paths]
    handles += [module.register_forward_hook(end) for module in paths]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _describe_arguments(
    names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Iterator[TensorShape]:
    named = [*zip(names, args, strict=False), *kwargs.items()]
    for name, value in named:
        for number, tensor in enumerate(found := list(_list_tensors(value))):
            yield _describe_tensor(name if len(found) == 1 else f"{name}[{number}]", tensor)


def _describe_outputs(output: Any) -> Iterator[TensorShape]:
    for number, tensor in enumerate(found := list(_list_tensors(output))):
        yield _describe_tensor("output" if len(found) == 1 else f"output[{number}]", tensor)


def _list_tensors(value: Any) -> Iterator[Tensor]:
    """Yields a tensor, or those in tuples and lists."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _list_tensors(item)


def _describe_tensor(name: str, tensor: Tensor) -> TensorShape:
    return TensorShape(name, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))


# --------------------------------------------------------------------------------------------------------- equal calls


def _list_calls(nodes: list[_Node], depth: int) -> Iterator[ModuleCall]:
    place = 0
    while place < len(nodes):
        first, run = nodes[place], 1
        while place + run < len(nodes) and _is_repeated(first, nodes[place + run]):
            run += 1
        last = nodes[place + run - 1].call.path
        yield replace(first.call, last=last, count=run, depth=depth)
        yield from _list_calls(first.inner, depth + 1)
        place += run


def _is_repeated(one: _Node, other: _Node) -> bool:
    """True if the calls are of one module, or of modules in one list, and are equal inside."""
    place, name = one.call.path.rpartition(".")[::2]
    other_place, other_name = other.call.path.rpartition(".")[::2]
    alike = name == other_name or (name.isdigit() and other_name.isdigit())
    return place == other_place and alike and _is_equal(one, other, one.call.path, other.call.path)


def _is_equal(one: _Node, other: _Node, path: str, other_path: str) -> bool:
    """True if the calls differ only in the paths that they are under."""
    inside, other_inside = one.call.path.removeprefix(path), other.call.path.removeprefix(other_path)
    return (
        replace(one.call, path=inside, last="") == replace(other.call, path=other_inside, last="")
        and len(one.inner) == len(other.inner)
        and all(_is_equal(a, b, path, other_path) for a, b in zip(one.inner, other.inner, strict=True))
    )

"""Loads and builds the components of a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import torch
from torch.overrides import TorchFunctionMode

from zoo.checks import Refused
from zoo.model.interfaces import Component, Norm
from zoo.model.plan import LayerPlan, Part, StackPlan
from zoo.registry import get_index, get_live_options
from zoo.registry.options import construct_options
from zoo.runs.config_sections import ComponentConfig


class RefusedPart(Refused):
    """Error whose message begins with the config path of the part or option at fault."""


def make_component(part: Part, *given: Any) -> Component:
    """Builds the component of a part.

    Args:
        part: name and options of the component.
        given: positional arguments, which every component of the kind receives.
    Raises:
        RefusedPart: if the component, or the norm that it builds, refuses its options.
    """
    try:
        cls = get_index().get(part.kind, part.name).load()
        return cast("Component", cls(*given, **construct_options(get_live_options(part.kind, part.name), part.options)))
    except RefusedPart:
        raise
    except Refused as error:
        raise RefusedPart(f"{locate_option(part.path, part.options, str(error))}: {error}") from None


def create_part(kind: str, component: ComponentConfig, path: str) -> Part:
    """Creates the part of a checked component config.

    Args:
        kind: kind of the component.
        component: name and options; keys that are not options of the component are left out.
        path: path of the component in the config, for messages.
    """
    options = {option.name for option in get_index().get(kind, component.name).options}
    kept = {key: value for key, value in component.options.items() if key in options}
    return Part(kind, component.name, kept, path)


@contextmanager
def use_meta_device() -> Iterator[None]:
    """Creates modules of the block on the meta device and skips their initialization."""
    with torch.device("meta"), _SkipInitialization():
        yield


class _SkipInitialization(TorchFunctionMode):
    """Skips the functions of torch.nn.init, which on the meta device would load a compiler first."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def load_component_class(part: Part) -> Any:
    """Imports the class of a part."""
    return get_index().get(part.kind, part.name).load()


def locate_option(path: str, options: Any, message: str) -> str:
    """Returns the config path of the option that ``message`` begins with, or ``path`` if it begins with none."""
    first = message.split()[0].split(".")[0] if message else ""
    return f"{path}.{message.split()[0]}" if first in options else path


def get_norm_factory(layer: LayerPlan) -> Callable[[int], Norm]:
    """Returns the constructor of the norms of a layer, which takes their width."""
    return cast("Callable[[int], Norm]", partial(make_component, layer.norm))


def get_attention_arguments(layer: LayerPlan) -> tuple[Any, ...]:
    """Returns the positional arguments of every attention: dim, heads, head_dim, norm."""
    return layer.dim, layer.heads, layer.head_dim, get_norm_factory(layer)


def get_position_arguments(stack: StackPlan, layer: LayerPlan) -> tuple[Any, ...]:
    """Returns the positional arguments of every position; embeddings may have another width than layers."""
    return stack.width or layer.dim, layer.heads, layer.head_dim, stack.causal

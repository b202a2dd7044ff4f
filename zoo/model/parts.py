"""From a part of a plan to its class, or to the component itself."""

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
    """A refusal that begins with the config path of what is to blame."""


def make_component(part: Part, *given: Any) -> Component:
    """The component of a part; ``given`` is what stands left of ``*``.

    Raises:
        Blamed: with the config path of the part in front, or of the norm that it was given.
    """
    try:
        cls = get_index().get(part.kind, part.name).load()
        return cast("Component", cls(*given, **construct_options(get_live_options(part.kind, part.name), part.options)))
    except RefusedPart:
        raise
    except Refused as error:
        raise RefusedPart(f"{locate_option(part.path, part.options, str(error))}: {error}") from None


def create_part(kind: str, component: ComponentConfig, path: str) -> Part:
    """Returns the part that a checked component of the config describes.

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
    """Make modules on the meta device; nothing is drawn for weights that nobody will read."""
    with torch.device("meta"), _SkipInitialization():
        yield


class _SkipInitialization(TorchFunctionMode):
    """Leaves tensors as they are where torch.nn.init would fill them, which on meta would first load a compiler."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def load_component_class(part: Part) -> Any:
    """The class of a part, for the facts that it declares."""
    return get_index().get(part.kind, part.name).load()


def locate_option(path: str, options: Any, message: str) -> str:
    """The config path of the option that a message begins with, else ``path``."""
    first = message.split()[0].split(".")[0] if message else ""
    return f"{path}.{message.split()[0]}" if first in options else path


def get_norm_factory(layer: LayerPlan) -> Callable[[int], Norm]:
    """What makes the norms of a layer."""
    return cast("Callable[[int], Norm]", partial(make_component, layer.norm))


def get_attention_arguments(layer: LayerPlan) -> tuple[Any, ...]:
    """What every attention is told."""
    return layer.dim, layer.heads, layer.head_dim, get_norm_factory(layer)


def get_position_arguments(stack: StackPlan, layer: LayerPlan) -> tuple[Any, ...]:
    """What every position is told; it acts on embeddings, which may have another width than layers."""
    return stack.width or layer.dim, layer.heads, layer.head_dim, stack.causal

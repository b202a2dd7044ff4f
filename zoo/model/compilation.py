"""Compilation of the layers of a model for training (``compile: true``)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch import nn

from zoo.model.interfaces import Component

_RECOMPILE_LIMIT = 64  # graphs of one stack: layers whose components, options or shapes differ need one each


@functools.cache
def compile_function(function: Callable[..., Any], is_whole: bool, is_dynamic: bool) -> Callable[..., Any]:
    """Compiles a function; all layers share one, so that layers of equal structure share a graph.

    Args:
        function: a method, as a function of ``self``.
        is_whole: whether it must be one graph; an operation that cannot be compiled is then an error.
        is_dynamic: whether the sizes of tensors are variables of the graph; if not, each size has a graph.
    """
    import torch._dynamo  # seconds, which only those who compile wait for

    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _RECOMPILE_LIMIT)
    return torch.compile(function, fullgraph=is_whole, dynamic=is_dynamic)


def find_graph_breaks(module: nn.Module) -> dict[str, str]:
    """Finds the components that break the graph of their layer: their names, and the reasons that they declare."""
    components = (item for item in module.modules() if isinstance(item, Component) and item.graph_break)
    return {type(item).__name__: item.graph_break for item in components}

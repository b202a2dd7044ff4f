"""Compilation of a model for training: what ``compile: true`` does."""

from __future__ import annotations

import logging
import os
import shutil
import sys

from zoo.checks import require
from zoo.data.interfaces import Pairs
from zoo.model.compilation import find_graph_breaks
from zoo.model.variants.variant import Variant

_log = logging.getLogger("zoo")


def compile_model(model: Variant, form: str) -> None:
    """Compiles the layers of a model, and names the components that are not compiled as a whole.

    Args:
        model: the model, whose state does not change.
        form: form of the data; batches of pairs differ in length, so that one graph must serve all lengths.
    """
    for stack in model.get_stacks().values():
        stack.compile_layers(is_dynamic=form == Pairs.form)
    for name, reason in find_graph_breaks(model).items():
        _log.warning("compile: a part of %s is not compiled, since %s", name, reason)


def require_compiler() -> None:
    """Requires the C++ compiler that ``torch.compile`` calls on the CPU.

    Raises:
        Refused: if it is not found.
    """
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    command = os.environ.get("CXX", usual)
    require(
        shutil.which(command) is not None, f"compile=true needs a C++ compiler, $CXX or {usual}: found no {command}"
    )

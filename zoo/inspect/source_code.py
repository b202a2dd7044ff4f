"""Source code of the ``forward`` of modules, with the file and line where it stands."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass
from pathlib import Path

from torch import nn

MOST_LINES = 40


@dataclass(frozen=True)
class SourceCode:
    """A ``forward``.

    Args:
        location: file below the folder of the installed packages, and line of the definition:
            ``zoo/components/norm/rms.py:40``.
        line: the line of the definition.
        body: the lines after the docstring, of which the first 40 are kept; empty where the source cannot be read.
        arguments: names of the positional arguments, without ``self``.
    """

    location: str
    line: str
    body: str
    arguments: tuple[str, ...]


def read_forward(cls: type[nn.Module]) -> SourceCode:
    """Reads the source of the ``forward`` that a class has or inherits."""
    forward = inspect.unwrap(cls.forward)
    arguments = tuple(inspect.signature(forward).parameters)[1:]
    try:
        lines, number = inspect.getsourcelines(forward)
        definition, body = _split(lines)
    except (OSError, TypeError, SyntaxError):  # made in a notebook or by exec, or not by a definition
        return SourceCode(f"{cls.__module__}.{cls.__qualname__}", "", "", arguments)
    file = _shorten_path(inspect.getsourcefile(forward) or "", forward.__module__)
    return SourceCode(f"{file}:{number + definition}", lines[definition].strip(), body, arguments)


def _split(lines: list[str]) -> tuple[int, str]:
    """Returns the index of the line of the definition, and what follows the docstring.

    Raises:
        SyntaxError: if the lines hold no definition, as those of a lambda.
    """
    node = ast.parse(textwrap.dedent("".join(lines))).body[0]
    if not isinstance(node, ast.FunctionDef):
        raise SyntaxError("no definition of a function")
    skipped = 1 if ast.get_docstring(node) is not None and len(node.body) > 1 else 0
    body = lines[node.body[skipped].lineno - 1 :]
    more = ["…\n"] if len(body) > MOST_LINES else []
    return node.lineno - 1, textwrap.dedent("".join(body[:MOST_LINES])) + "".join(more)


def _shorten_path(file: str, module: str) -> str:
    """Returns the path of a file from the folder of its package on."""
    path = Path(file)
    count = module.count(".") + (2 if path.stem == "__init__" else 1)
    return "/".join(path.parts[-count:])

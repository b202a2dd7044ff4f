"""Prose that every Python brings."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from functools import cached_property
from typing import final

from zoo.checks import Refused
from zoo.components.data import _stdlib as stdlib
from zoo.data.interfaces import Documents, Split
from zoo.data.split import require_fraction, select_held_out
from zoo.registry import register

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@final
@register("data", "pydocs")
class PyDocs(Documents):
    """Topics of Python's help and docstrings of its standard library: about 2 MB of prose without a download.

    One document per topic of ``help()`` and one per source file: its docstrings in the order of the file, joined by
    blank lines. The files are parsed, never imported; tests and installed packages are left out. Of documents with
    the same text only the first is kept, so that validation holds nothing that was trained on.

    Args:
        validation: fraction of the documents held out, chosen by a hash of the document's name.

    Raises:
        Refused: if ``validation`` is not between 0 and 1, or this Python comes without its sources or topics.
    """

    def __init__(self, *, validation: float = 0.05) -> None:
        require_fraction(validation)
        self.validation = validation

    def identity(self) -> str:
        """Options, Python's version, and the names and contents of the files."""
        return f"pydocs validation={self.validation} {stdlib.identity()}"

    def documents(self, split: Split) -> Iterator[str]:
        """The documents of a split: topics sorted by name, then files sorted by path."""
        held = select_held_out(self._documents, self.validation)
        return (text for name, text in self._documents.items() if (name in held) is (split == "validation"))

    @cached_property
    def _documents(self) -> dict[str, str]:
        files = ((f"file {name}", docstrings(name, source)) for name, source in stdlib.sources())
        return stdlib.distinct([*_topics(), *files])


def docstrings(name: str, source: str) -> str:
    """All docstrings of a source file, in the order of the file, joined by blank lines."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's strings
        tree = ast.parse(source, filename=name)
    nodes = [node for node in ast.walk(tree) if isinstance(node, _DOCUMENTED)]
    nodes.sort(key=lambda node: 0 if isinstance(node, ast.Module) else node.lineno)
    texts = [ast.get_docstring(node) for node in nodes]
    # A docstring can hold a lone surrogate, which is no text: it is written out as its escape.
    return "\n\n".join(text.encode("utf-8", "backslashreplace").decode() for text in texts if text)


def _topics() -> Iterator[tuple[str, str]]:
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise Refused("data pydocs: this Python comes without pydoc_data, the topics of its help") from None
    return ((f"topic {name}", text) for name, text in sorted(topics.items()))

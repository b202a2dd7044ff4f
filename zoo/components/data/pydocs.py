"""Documentation of Python and its standard library."""

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
    """Topics of Python's help and docstrings of its standard library: about 2 MB of prose, without a download.

    Each topic of ``help()`` is a document, and so are the docstrings of each source file, joined by blank lines in the
    order of the file. The files are parsed, not imported; tests and installed packages are left out. Of documents with
    equal text only the first is kept, so that no validation document is in the training split.

    Args:
        validation: fraction of the documents to hold out, selected by a hash of the document's name.

    Raises:
        Refused: if ``validation`` is not between 0 and 1, or if this Python lacks the sources or the help topics.
    """

    def __init__(self, *, validation: float = 0.05) -> None:
        require_fraction(validation)
        self.validation = validation

    def identity(self) -> str:
        """Returns the options, the version of Python, and a hash of the names and contents of the files."""
        return f"pydocs validation={self.validation} {stdlib.identity()}"

    def documents(self, split: Split) -> Iterator[str]:
        """Iterates over the documents of a split: topics sorted by name, then files sorted by path."""
        held = select_held_out(self._documents, self.validation)
        return (text for name, text in self._documents.items() if (name in held) is (split == "validation"))

    @cached_property
    def _documents(self) -> dict[str, str]:
        files = ((f"file {name}", extract_docstrings(name, source)) for name, source in stdlib.read_sources())
        return stdlib.deduplicate([*_read_topics(), *files])


def extract_docstrings(name: str, source: str) -> str:
    """Returns all docstrings of a source file in the order of the file, joined by blank lines."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escape sequences in strings of the file
        tree = ast.parse(source, filename=name)
    nodes = [node for node in ast.walk(tree) if isinstance(node, _DOCUMENTED)]
    nodes.sort(key=lambda node: 0 if isinstance(node, ast.Module) else node.lineno)
    texts = [ast.get_docstring(node) for node in nodes]
    # A docstring may contain a lone surrogate, which cannot be encoded: it is replaced by its escape sequence.
    return "\n\n".join(text.encode("utf-8", "backslashreplace").decode() for text in texts if text)


def _read_topics() -> Iterator[tuple[str, str]]:
    try:
        from pydoc_data.topics import topics
    except ImportError:
        raise Refused("data pydocs: this Python has no pydoc_data, the package with the topics of its help") from None
    return ((f"topic {name}", text) for name, text in sorted(topics.items()))

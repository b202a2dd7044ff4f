"""Source code of Python's standard library."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import final

from zoo.components.data import _stdlib as stdlib
from zoo.data.interfaces import Documents, Split
from zoo.data.split import require_fraction, select_held_out
from zoo.registry import register


@final
@register("data", "pycode")
class PyCode(Documents):
    """Source files of Python's standard library: about 11 MB of code, without a download.

    Each file is a document; documents are sorted by path. Tests, installed packages and generated tables are left out.
    Of files with equal text only the first is kept, so that no validation document is in the training split.

    Args:
        validation: fraction of the files to hold out, selected by a hash of the path.

    Raises:
        Refused: if ``validation`` is not between 0 and 1, or if this Python has no sources of its standard library.
    """

    def __init__(self, *, validation: float = 0.05) -> None:
        require_fraction(validation)
        self.validation = validation

    def identity(self) -> str:
        """Returns the options, the version of Python, and a hash of the names and contents of the files."""
        return f"pycode validation={self.validation} {stdlib.identity()}"

    def documents(self, split: Split) -> Iterator[str]:
        """Iterates over the files of a split, sorted by path."""
        held = select_held_out(self._files, self.validation)
        return (text for name, text in self._files.items() if (name in held) is (split == "validation"))

    @cached_property
    def _files(self) -> dict[str, str]:
        return stdlib.deduplicate(stdlib.read_sources())

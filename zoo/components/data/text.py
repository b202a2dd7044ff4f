"""Texts of one's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, final

from zoo.checks import Refused
from zoo.data.interfaces import Documents, Split
from zoo.data.split import require_fraction, select_held_out
from zoo.data.text_files import digest_files, read_nonempty_text, require_path
from zoo.registry import register

_BLANK_LINES = re.compile(r"(?:\r?\n[ \t]*){2,}")


@final
@register("data", "text")
class Text(Documents):
    """A UTF-8 file, or every file below a folder.

    What is held out is chosen by a hash of the document's text, so equal documents never stand on both sides. If
    there is one document only, its end is held out, cut where a line begins.

    Args:
        path: the file or folder.
        pattern: which files of a folder, at any depth; has no say over a ``path`` that is a file.
        unit: what one document is: a file, a paragraph (ends at a blank line) or a line. Blank ones do not count.
        validation: fraction of the documents held out.

    Raises:
        Refused: if there is no such path or no file matches, a file is empty or not UTF-8, or ``validation`` is not
            between 0 and 1.
    """

    def __init__(
        self,
        *,
        path: str,
        pattern: str = "*.txt",
        unit: Literal["file", "paragraph", "line"] = "file",
        validation: float = 0.05,
    ) -> None:
        require_fraction(validation)
        self.path = path
        self.pattern = pattern
        self.unit = unit
        self.validation = validation

    def identity(self) -> str:
        """Options, and the paths and contents of the files."""
        return f"text unit={self.unit} validation={self.validation} files={digest_files(self._files())}"

    def documents(self, split: Split) -> Iterator[str]:
        """The documents of a split: files sorted by path, each from top to bottom."""
        texts = [text for file in self._files() for text in self._units(read_nonempty_text("data text", file))]
        if len(texts) == 1:
            train, validation = cut(texts[0], self.validation)
            return iter([train if split == "train" else validation])
        held = select_held_out(texts, self.validation)
        return (text for text in texts if (text in held) is (split == "validation"))

    def _files(self) -> list[Path]:
        path = require_path("data text", self.path)
        if path.is_file():
            return [path]
        files = sorted(file for file in path.rglob(self.pattern) if file.is_file())
        if not files:
            raise Refused(f"data text: no file matches: got path={self.path}, pattern={self.pattern}")
        return files

    def _units(self, text: str) -> list[str]:
        if self.unit == "file":
            return [text]
        parts = _BLANK_LINES.split(text) if self.unit == "paragraph" else text.replace("\r\n", "\n").split("\n")
        return [part for part in parts if part.strip()]


def cut(text: str, validation: float) -> tuple[str, str]:
    """Beginning and end of ``text``: the end is about the fraction ``validation`` of its characters."""
    if len(text) < 2:
        raise Refused(f"data text: one document of {len(text)} character cannot be split")
    at = min(max(1, round(len(text) * (1 - validation))), len(text) - 1)
    line = text.find("\n", at) + 1
    at = line if 0 < line < len(text) else at
    return text[:at], text[at:]

"""Texts from files."""

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
    """Texts from a UTF-8 file, or from all files of a folder.

    The held-out documents are selected by a hash of their text, so that equal documents are in the same split. If there
    is only one document, it is split at the beginning of a line and its end is held out.

    Args:
        path: path of the file or folder.
        pattern: glob pattern of the files in a folder, at any depth; unused if ``path`` is a file.
        unit: unit of a document: a file, a paragraph (ends at a blank line) or a line. Blank documents are skipped.
        validation: fraction of the documents to hold out.

    Raises:
        Refused: if the path does not exist or no file matches, if a file is empty or not UTF-8, or if ``validation`` is
            not between 0 and 1.
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
        """Returns the options and a hash of the paths and contents of the files."""
        return f"text unit={self.unit} validation={self.validation} files={digest_files(self._find_files())}"

    def documents(self, split: Split) -> Iterator[str]:
        """Iterates over the documents of a split: files sorted by path, each from top to bottom."""
        files = self._find_files()
        texts = [text for file in files for text in self._split_units(read_nonempty_text("data text", file))]
        if len(texts) == 1:
            train, validation = split_text(texts[0], self.validation)
            return iter([train if split == "train" else validation])
        held = select_held_out(texts, self.validation)
        return (text for text in texts if (text in held) is (split == "validation"))

    def _find_files(self) -> list[Path]:
        path = require_path("data text", self.path)
        if path.is_file():
            return [path]
        files = sorted(file for file in path.rglob(self.pattern) if file.is_file())
        if not files:
            raise Refused(f"data text: no file matches: got path={self.path}, pattern={self.pattern}")
        return files

    def _split_units(self, text: str) -> list[str]:
        if self.unit == "file":
            return [text]
        parts = _BLANK_LINES.split(text) if self.unit == "paragraph" else text.replace("\r\n", "\n").split("\n")
        return [part for part in parts if part.strip()]


def split_text(text: str, validation: float) -> tuple[str, str]:
    """Splits ``text`` in two; the second part has about the fraction ``validation`` of its characters."""
    if len(text) < 2:
        raise Refused(f"data text: a single document of {len(text)} character cannot be split")
    at = min(max(1, round(len(text) * (1 - validation))), len(text) - 1)
    line = text.find("\n", at) + 1
    at = line if 0 < line < len(text) else at
    return text[:at], text[at:]

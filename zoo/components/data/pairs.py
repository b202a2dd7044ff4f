"""Pairs of texts from a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from zoo.checks import Refused
from zoo.data.interfaces import Pairs, Split, TextMetric
from zoo.data.split import require_fraction, select_held_out
from zoo.data.text_files import digest_files, read_nonempty_text, require_file
from zoo.registry import register


@final
@register("data", "pairs")
class TabSeparatedPairs(Pairs):
    """Pairs from a UTF-8 file with a source, a tab and a target on every line.

    The held-out pairs are selected by a hash of the source, so that equal sources are in the same split.

    Args:
        path: path of the file.
        validation: fraction of the sources to hold out.
        metric: metric for generated texts. ``chrf`` is suitable for any language and length; BLEU is for sentences,
            with one of sacreBLEU's tokenizers: ``bleu_13a`` (Latin scripts), ``bleu_intl`` (any script with spaces),
            ``bleu_zh`` (Chinese) or ``bleu_char`` (characters).

    Raises:
        Refused: if the file does not exist, is empty or is not UTF-8, if a line does not have exactly two nonblank
            columns, or if ``validation`` is not between 0 and 1.
    """

    def __init__(self, *, path: str, validation: float = 0.05, metric: TextMetric = "chrf") -> None:
        require_fraction(validation)
        self.path = path
        self.validation = validation
        self.metric = metric

    def identity(self) -> str:
        """Returns the options and a hash of the path and content of the file."""
        return f"pairs validation={self.validation} files={digest_files([require_file('data pairs', self.path)])}"

    def pairs(self, split: Split) -> Iterator[tuple[str, str]]:
        """Iterates over the pairs of a split in the order of the file."""
        pairs = self._read_pairs()
        held = select_held_out({source for source, _ in pairs}, self.validation)
        return (pair for pair in pairs if (pair[0] in held) is (split == "validation"))

    def choose_text_metric(self) -> TextMetric:
        """Returns ``metric``."""
        return self.metric

    def _read_pairs(self) -> list[tuple[str, str]]:
        text = read_nonempty_text("data pairs", require_file("data pairs", self.path))
        lines = text.removesuffix("\n").split("\n")
        return [self._parse_line(number, line.removesuffix("\r")) for number, line in enumerate(lines, start=1)]

    def _parse_line(self, number: int, line: str) -> tuple[str, str]:
        columns = line.split("\t")
        where = f"data pairs: {self.path}, line {number}"
        if len(columns) != 2:
            raise Refused(f"{where}: must have a source, a tab and a target: got {len(columns)} column(s)")
        source, target = columns
        if not source.strip() or not target.strip():
            raise Refused(f"{where}: source and target must not be blank: got {source!r} and {target!r}")
        return source, target

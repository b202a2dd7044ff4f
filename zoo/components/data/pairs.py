"""Pairs of one's own."""

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
    """A UTF-8 file with a source, a tab and a target on every line.

    What is held out is chosen by a hash of the source, so equal sources never stand on both sides.

    Args:
        path: the file.
        validation: fraction of the sources held out.
        metric: how written texts are scored. chrf fits any language and length; BLEU is for sentences, of words as a
            tokenizer of sacreBLEU divides them: bleu_13a (Latin scripts), bleu_intl (any script with spaces), bleu_zh
            (Chinese), bleu_char (characters).

    Raises:
        Refused: if there is no such file, it is empty or not UTF-8, a line has not exactly two columns with text in
            both, or ``validation`` is not between 0 and 1.
    """

    def __init__(self, *, path: str, validation: float = 0.05, metric: TextMetric = "chrf") -> None:
        require_fraction(validation)
        self.path = path
        self.validation = validation
        self.metric = metric

    def identity(self) -> str:
        """Options, and the file's path and content."""
        return f"pairs validation={self.validation} files={digest_files([require_file('data pairs', self.path)])}"

    def pairs(self, split: Split) -> Iterator[tuple[str, str]]:
        """The pairs of a split, from top to bottom."""
        pairs = self._read()
        held = select_held_out({source for source, _ in pairs}, self.validation)
        return (pair for pair in pairs if (pair[0] in held) is (split == "validation"))

    def choose_text_metric(self) -> TextMetric:
        """As chosen."""
        return self.metric

    def _read(self) -> list[tuple[str, str]]:
        text = read_nonempty_text("data pairs", require_file("data pairs", self.path))
        lines = text.removesuffix("\n").split("\n")
        return [self._pair(number, line.removesuffix("\r")) for number, line in enumerate(lines, start=1)]

    def _pair(self, number: int, line: str) -> tuple[str, str]:
        columns = line.split("\t")
        where = f"data pairs: {self.path}, line {number}"
        if len(columns) != 2:
            raise Refused(f"{where}: must be source, tab, target: got {len(columns)} column(s)")
        source, target = columns
        if not source.strip() or not target.strip():
            raise Refused(f"{where}: source and target must not be blank: got {source!r} and {target!r}")
        return source, target

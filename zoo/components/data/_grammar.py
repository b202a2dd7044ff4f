"""Grammars that write short texts, and the base class of data sets that are written by one."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import ClassVar

import yaml

from zoo.checks import require
from zoo.data.interfaces import Documents, Split
from zoo.data.split import hash_to_fraction, require_fraction

Row = Mapping[str, str]
"""A word with its forms and properties, by column; the first column is the word itself."""
_FIELD = re.compile(r"\{(?:(\w+)(:?=))?(\w+)(?::(\w+))?(?:\.(\w+))?(\??)\}")
_REPEATS = 1000  # drawn in a row, they show that a grammar has no more new texts


@dataclass(frozen=True)
class Field:
    """A place of a template, written ``{name=source:word.column?}``.

    Attributes:
        name: name under which the choice is remembered for the rest of the text; empty for none.
        silent: True for ``:=``, which remembers the choice without writing it.
        source: a remembered name, a table, or a rule.
        word: the word to choose from a table; empty for any.
        column: column of a table's row; empty for the first.
        optional: True for ``?``: written half of the time.
    """

    name: str
    silent: bool
    source: str
    word: str
    column: str
    optional: bool


class Grammar:
    """Writes texts from rules and tables of words.

    A rule lists templates, one a line or in a list of YAML. A table lists words, one a line, below a line with the
    names of its columns, all separated by commas; or it is a list of mappings. A slash separates alternatives in a
    cell. Cells are templates, too. A row is never chosen while the text remembers it under a name, so that two names
    stand for two different things.

    Args:
        text: YAML with the mappings ``rules`` and ``tables``.
        computed: tables whose rows are computed instead of listed.
    """

    def __init__(self, text: str, computed: Mapping[str, Callable[[Random], Row]]) -> None:
        read = yaml.safe_load(text)
        self.rules: dict[str, list[str]] = {name: _read_lines(block) for name, block in read["rules"].items()}
        self.tables = {name: _read_table(block) for name, block in read["tables"].items()}
        self.computed = computed
        twice = [name for name in self.rules if name in self.tables or name in computed]
        require(not twice, f"rules and tables must have different names: got {', '.join(twice)} twice")
        versions = f"{text} python={sys.version_info.major}.{sys.version_info.minor}"
        self.digest = hashlib.sha256(versions.encode()).hexdigest()[:16]

    def write(self, random: Random, rule: str = "text") -> str:
        """Writes a text by a rule."""
        return self._expand(random.choice(self.rules[rule]), random, {})

    def _expand(self, template: str, random: Random, known: dict[str, Row | str]) -> str:
        pieces = parse_template(template)
        return "".join(piece if isinstance(piece, str) else self._fill(piece, random, known) for piece in pieces)

    def _fill(self, field: Field, random: Random, known: dict[str, Row | str]) -> str:
        if field.optional and random.random() < 0.5:
            return ""
        chosen = known[field.source] if field.source in known else self._choose(field, random, known)
        written = chosen if isinstance(chosen, str) else self._write_cell(chosen, field.column, random, known)
        if field.name:
            known[field.name] = written if field.source in known else chosen
        return "" if field.silent else written

    def _choose(self, field: Field, random: Random, known: dict[str, Row | str]) -> Row | str:
        if field.source in self.rules:
            return self._expand(random.choice(self.rules[field.source]), random, known)
        if field.source in self.computed:
            return self.computed[field.source](random)
        free = [row for row in self.tables[field.source] if not any(row is taken for taken in known.values())]
        return random.choice([row for row in free if field.word in ("", _get_word(row))])

    def _write_cell(self, row: Row, column: str, random: Random, known: dict[str, Row | str]) -> str:
        cell = row[column] if column else _get_word(row)
        return self._expand(random.choice(cell.split("/")), random, known)


def _get_word(row: Row) -> str:
    return next(iter(row.values()))


def _read_lines(block: str | list[str]) -> list[str]:
    return block.splitlines() if isinstance(block, str) else block


def _read_table(block: str | list[Row]) -> Sequence[Row]:
    if isinstance(block, list):
        return block
    columns, *rows = ([cell.strip() for cell in line.split(",")] for line in block.splitlines())
    return [dict(zip(columns, row, strict=True)) for row in rows]


@cache
def parse_template(template: str) -> tuple[str | Field, ...]:
    """Splits a template into literal texts and fields."""
    pieces: list[str | Field] = []
    end = 0
    for found in _FIELD.finditer(template):
        name, sign, source, word, column, mark = (group or "" for group in found.groups())
        pieces += [template[end : found.start()], Field(name, sign == ":=", source, word, column, mark == "?")]
        end = found.end()
    return (*pieces, template[end:])


class GrammarDocuments(Documents):
    """Base of data sets that are written by a grammar, which lies beside the component as ``_NAME.yaml``.

    A hash of the text decides whether it is held out, so that no text is in both splits of any two seeds.

    Args:
        texts: number of texts in both splits together; all are different.
        validation: fraction of the texts to hold out.
        seed: seed of the random choices.

    Raises:
        Refused: if ``texts`` is less than 2, if ``validation`` is not between 0 and 1, or if the grammar cannot write
            so many different texts.
    """

    computed: ClassVar[Mapping[str, Callable[[Random], Row]]] = {}

    def __init__(self, texts: int, validation: float, seed: int) -> None:
        require_fraction(validation)
        require(texts >= 2, f"texts must be at least 2: got texts={texts}")
        self.texts = texts
        self.validation = validation
        self.seed = seed
        self._name = type(self).__module__.rpartition(".")[2]
        file = Path(__file__).with_name(f"_{self._name}.yaml")
        self._grammar = Grammar(file.read_text(encoding="utf8"), self.computed)

    def identity(self) -> str:
        """Returns all options, and a hash of the grammar and of the version of Python, which draws the numbers."""
        options = f"texts={self.texts} validation={self.validation} seed={self.seed}"
        return f"{self._name} 1 {options} grammar={self._grammar.digest}"

    def documents(self, split: Split) -> Iterator[str]:
        """Iterates over the texts of a split in the order in which they are written."""
        random = Random(f"{self._name} {self.seed}")  # a string is hashed with SHA-512, independent of the process
        seen: set[str] = set()
        repeats = 0
        while len(seen) < self.texts:
            text = self.finish(self._grammar.write(random))
            if text in seen:
                repeats += 1
                known = f"the grammar has no more than about {len(seen)} different texts"
                require(repeats < _REPEATS, f"{known}: got texts={self.texts}")
                continue
            repeats = 0
            seen.add(text)
            if (hash_to_fraction(text) < self.validation) is (split == "validation"):
                yield text

    def finish(self, text: str) -> str:
        """Returns the text with the spelling that depends on the words beside; the text itself by default."""
        return text

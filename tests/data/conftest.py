from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from zoo.components.data.pycode import PyCode
from zoo.components.data.pydocs import PyDocs
from zoo.data.interfaces import Documents, Pairs, Split


@dataclass
class ListedDocuments(Documents):
    """Documents given as lists; counts how often they were read."""

    train: list[str]
    validation: list[str]
    reads: list[str] = field(default_factory=list)

    def identity(self) -> str:
        return f"listed {self.train!r} {self.validation!r}"

    def documents(self, split: Split) -> Iterator[str]:
        self.reads.append(split)
        return iter(self.train if split == "train" else self.validation)


@dataclass
class ListedPairs(Pairs):
    """Pairs given as lists."""

    train: list[tuple[str, str]]
    validation: list[tuple[str, str]]

    def identity(self) -> str:
        return f"listed {self.train!r} {self.validation!r}"

    def pairs(self, split: Split) -> Iterator[tuple[str, str]]:
        return iter(self.train if split == "train" else self.validation)


@pytest.fixture(scope="session")
def listed() -> type[ListedDocuments]:
    return ListedDocuments


@pytest.fixture(scope="session")
def listed_pairs() -> type[ListedPairs]:
    return ListedPairs


@pytest.fixture(scope="session")
def pydocs() -> PyDocs:
    return PyDocs()


@pytest.fixture(scope="session")
def pycode() -> PyCode:
    return PyCode()


@pytest.fixture
def write(tmp_path: Path):
    """Writes a file below a fresh folder and returns its path."""

    def write_file(name: str, content: str | bytes) -> str:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(file)

    return write_file

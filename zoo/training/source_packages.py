"""Finds the packages of user code in a run: plug-ins, and modules that ``_target_`` names.

Packages are found from the import statements of sources, without importing anything, so that the answer is the same in
every process. An installed distribution is identified by name and version; any other package, including an editable
install, by the contents of all its sources.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES
from importlib.metadata import Distribution, PackageNotFoundError, distributions, version
from pathlib import Path

from zoo.checks import require
from zoo.registry import get_index
from zoo.registry.signatures import Unreadable, parse_file

COMPUTING = ("torch", "lightning", "torchmetrics", "tokenizers")
"""Packages that zoo computes with: results record their versions, and reports warn if they differ."""


@dataclass(frozen=True)
class Package:
    """A distribution or top-level module that a run imports.

    Attributes:
        name: name of the distribution if it is known, else of the module.
        version: version of the distribution; None if there is none.
        source: SHA-256 of names and contents of all sources; None if the version identifies the package.
    """

    name: str
    version: str | None = None
    source: str | None = None

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.version, self.source and f"source {self.source[:12]}")))


@dataclass(frozen=True)
class _Module:
    """A top-level package or module, or a module in a package without ``__init__.py``.

    Attributes:
        name: dotted name.
        file: file of the module; ``__init__.py`` of a package.
    """

    name: str
    file: Path

    @property
    def is_package(self) -> bool:
        return self.file.name == "__init__.py"

    @property
    def place(self) -> Path:
        """Folder on ``sys.path`` that contains the module."""
        return self.file.parents[self.name.count(".") + self.is_package]

    def list_sources(self) -> Iterator[tuple[str, Path]]:
        """Yields the sources of a package or module, each with the package that its relative imports start from."""
        if not self.is_package:
            yield self.name.rpartition(".")[0], self.file
            return
        root = self.file.parent
        for path in sorted(root.rglob("*")):
            if path.name.endswith((*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)) and path.is_file():
                yield ".".join([self.name, *path.parent.relative_to(root).parts]), path


@dataclass(frozen=True)
class ImportTrace:
    """Direct and indirect imports of modules.

    Attributes:
        packages: packages, sorted by name.
        zoo: names of modules of zoo.
    """

    packages: tuple[Package, ...]
    zoo: frozenset[str]


@functools.cache
def trace(modules: tuple[str, ...]) -> ImportTrace:
    """Finds the packages of modules, and the packages that sources of user code import in turn.

    The standard library and ``COMPUTING`` are left out, and so are imports that cannot be found, which may be optional.
    Imports by a computed name are not traced.

    Args:
        modules: dotted names.
    Raises:
        Refused: if one of the modules has no file.
    """
    for name in modules:
        require(_find(name) is not None, f"{name} has no file that could be fingerprinted: move its code to a module")
    packages: set[Package] = set()
    of_zoo: set[str] = set()
    files: set[Path] = set()
    ahead, seen = set(modules), set[str]()
    while ahead:
        seen.add(name := ahead.pop())
        if name.partition(".")[0] in COMPUTING:
            continue
        if name.startswith("zoo."):
            of_zoo.add(name)
            continue
        found = _find(name)
        if found is None or found.file in files or _is_standard_library(found.file):
            continue
        files.add(found.file)
        if distribution := _find_distribution(found):
            packages.add(Package(distribution.name, distribution.version))
            continue
        packages.add(_hash_package(found))
        ahead |= {each for base, file in found.list_sources() for each in list_imports(file, base)} - seen
    return ImportTrace(tuple(sorted(packages, key=lambda each: (each.name, str(each)))), frozenset(of_zoo))


# ------------------------------------------------------------------------------------------------------ locations


def _find(name: str) -> _Module | None:
    """Finds a module without importing it or its package."""
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # ValueError: a module without a spec, such as a script
        file = getattr(sys.modules.get(top), "__file__", None)
        return _Module(top, Path(file)) if file else None
    if spec is None or spec.origin is not None:
        return _Module(top, Path(spec.origin)) if spec and spec.origin else None
    for place in spec.submodule_search_locations or ():
        for depth in range(len(rest), 0, -1):
            path = Path(place).joinpath(*rest[:depth])
            for file in (path / "__init__.py", path.with_suffix(".py")):
                if file.is_file():
                    return _Module(".".join([top, *rest[:depth]]), file)
    return None


def _is_standard_library(file: Path) -> bool:
    """True for the standard library, including built-in and frozen modules, which have no file."""
    library = Path(sysconfig.get_path("stdlib"))
    if not file.is_file() or not file.is_relative_to(library):
        return not file.is_file()
    return file.relative_to(library).parts[0] not in ("site-packages", "dist-packages")


def _find_distribution(found: _Module) -> Distribution | None:
    """Finds the distribution that installed a file; None for editable installs and files that were not installed."""
    line = f"\n{found.file.relative_to(found.place).as_posix()},"
    for distribution in _list_distributions(found.place):
        if line in "\n" + (distribution.read_text("RECORD") or ""):
            return distribution
    return None


@functools.cache
def _list_distributions(place: Path) -> tuple[Distribution, ...]:
    return tuple(distributions(path=[str(place)]))


# ----------------------------------------------------------------------------------------------------- user code


def _hash_package(found: _Module) -> Package:
    """Identifies a package by the contents of its sources."""
    digest = hashlib.sha256()
    for _, file in found.list_sources():
        digest.update(file.relative_to(found.place).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    top = found.name.partition(".")[0]
    plugins = {entry.module.split(".")[0]: entry.distribution for entry in get_index().entries.values()}
    try:
        known = version(plugins.get(top) or top)
    except PackageNotFoundError:
        known = None
    return Package(found.name, known, digest.hexdigest())


@functools.cache
def list_imports(file: Path, package: str) -> frozenset[str]:
    """Lists all names that a source imports; ``from a import b`` gives both a and a.b, which may be a module.

    Args:
        file: the source.
        package: package that relative imports start from.
    """
    if not file.name.endswith(tuple(SOURCE_SUFFIXES)):
        return frozenset()
    try:
        tree = parse_file(file)
    except Unreadable:  # a template, for example: its contents are hashed anyway
        return frozenset()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (base := _resolve_base(node, package)):
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def _resolve_base(node: ast.ImportFrom, package: str) -> str:
    """Resolves the module of a ``from`` import to an absolute name; empty if it leads out of its package."""
    if not node.level:
        return node.module or ""
    steps = package.split(".") if package else []
    outer = steps[: max(0, len(steps) - node.level + 1)]
    return ".".join([*outer, *filter(None, [node.module])]) if outer else ""

"""Packages that a run's own code comes from: plug-ins, and modules that ``_target_`` names.

They are found without importing anything, from the modules that a config names and from what the sources of these
import, so that the answer is the same in every process. An installed distribution is told by name and version; any
other package, an editable install among them, by the contents of all its sources.
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
from zoo.registry import index
from zoo.registry.signatures import Unreadable, parse

COMPUTING = ("torch", "lightning", "torchmetrics", "tokenizers")
"""What zoo itself computes with: every result tells the versions, and reports warn where they differ."""


@dataclass(frozen=True)
class Package:
    """A distribution or top-level module that a run imports.

    Attributes:
        name: of the distribution if one is known, else of the module.
        version: None if there is no distribution.
        source: sha256 over names and contents of all sources; None where the version says it all.
    """

    name: str
    version: str | None = None
    source: str | None = None

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.version, self.source and f"source {self.source[:12]}")))


@dataclass(frozen=True)
class _Found:
    """A top-level package or module or, of a package without ``__init__.py``, a module in it.

    Attributes:
        name: dotted.
        file: of the module; ``__init__.py`` of a package.
    """

    name: str
    file: Path

    @property
    def is_package(self) -> bool:
        return self.file.name == "__init__.py"

    @property
    def place(self) -> Path:
        """The folder on ``sys.path`` that it was found in."""
        return self.file.parents[self.name.count(".") + self.is_package]

    def sources(self) -> Iterator[tuple[str, Path]]:
        """All sources of the package, or the module alone, each with the package of its relative imports."""
        if not self.is_package:
            yield self.name.rpartition(".")[0], self.file
            return
        root = self.file.parent
        for path in sorted(root.rglob("*")):
            if path.name.endswith((*SOURCE_SUFFIXES, *EXTENSION_SUFFIXES)) and path.is_file():
                yield ".".join([self.name, *path.parent.relative_to(root).parts]), path


@dataclass(frozen=True)
class Traced:
    """What modules import, directly or not: packages sorted by name, and modules of zoo."""

    packages: tuple[Package, ...]
    zoo: frozenset[str]


@functools.cache
def trace(modules: tuple[str, ...]) -> Traced:
    """Find the packages that modules belong to, and those that the sources of one's own ones import in turn.

    Python's own modules and those of ``COMPUTING`` are left out, and so is an import that cannot be found, for it may
    be optional. An import by a computed name is seen where it leads into a package that is seen anyway.

    Raises:
        Refused: if one of ``modules`` has no file.
    """
    for name in modules:
        require(_find(name) is not None, f"{name} has no file to tell its code by: put what it defines into a module")
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
        if found is None or found.file in files or _is_pythons(found.file):
            continue
        files.add(found.file)
        if distribution := _installed(found):
            packages.add(Package(distribution.name, distribution.version))
            continue
        packages.add(_own(found))
        ahead |= {each for base, file in found.sources() for each in imports_of(file, base)} - seen
    return Traced(tuple(sorted(packages, key=lambda each: (each.name, str(each)))), frozenset(of_zoo))


# ------------------------------------------------------------------------------------------------------ where it lies


def _find(name: str) -> _Found | None:
    """Find a module without importing it or what it is in."""
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # ValueError: a module without a spec, as a script is
        file = getattr(sys.modules.get(top), "__file__", None)
        return _Found(top, Path(file)) if file else None
    if spec is None or spec.origin is not None:
        return _Found(top, Path(spec.origin)) if spec and spec.origin else None
    for place in spec.submodule_search_locations or ():
        for depth in range(len(rest), 0, -1):
            path = Path(place).joinpath(*rest[:depth])
            for file in (path / "__init__.py", path.with_suffix(".py")):
                if file.is_file():
                    return _Found(".".join([top, *rest[:depth]]), file)
    return None


def _is_pythons(file: Path) -> bool:
    """True for built-in and frozen modules, which have no file, and for the standard library."""
    library = Path(sysconfig.get_path("stdlib"))
    if not file.is_file() or not file.is_relative_to(library):
        return not file.is_file()
    return file.relative_to(library).parts[0] not in ("site-packages", "dist-packages")


def _installed(found: _Found) -> Distribution | None:
    """The distribution whose installer put this file there; None of an editable install, or a file that just lies."""
    line = f"\n{found.file.relative_to(found.place).as_posix()},"
    for distribution in _distributions(found.place):
        if line in "\n" + (distribution.read_text("RECORD") or ""):
            return distribution
    return None


@functools.cache
def _distributions(place: Path) -> tuple[Distribution, ...]:
    return tuple(distributions(path=[str(place)]))


# ----------------------------------------------------------------------------------------------------- one's own code


def _own(found: _Found) -> Package:
    """A package that is told by the contents of its sources."""
    digest = hashlib.sha256()
    for _, file in found.sources():
        digest.update(file.relative_to(found.place).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    top = found.name.partition(".")[0]
    plugins = {entry.module.split(".")[0]: entry.distribution for entry in index().entries.values()}
    try:
        told = version(plugins.get(top) or top)
    except PackageNotFoundError:
        told = None
    return Package(found.name, told, digest.hexdigest())


@functools.cache
def imports_of(file: Path, package: str) -> frozenset[str]:
    """Names that a source imports anywhere in it; of ``from a import b`` both a and a.b, which may be a module.

    Args:
        file: of the source.
        package: that relative imports start from.
    """
    if not file.name.endswith(tuple(SOURCE_SUFFIXES)):
        return frozenset()
    try:
        tree = parse(file)
    except Unreadable:  # a template, say: nothing imports it, and its contents are told anyway
        return frozenset()
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (base := _base(node, package)):
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def _base(node: ast.ImportFrom, package: str) -> str:
    """What is imported from, as an absolute name; nothing where a relative import leads out of its package."""
    if not node.level:
        return node.module or ""
    steps = package.split(".") if package else []
    outer = steps[: max(0, len(steps) - node.level + 1)]
    return ".".join([*outer, *filter(None, [node.module])]) if outer else ""

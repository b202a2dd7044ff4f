"""Names for components: one decorator to register, one index read from syntax trees, plug-ins by entry point.

The index knows name, options, paper and description of every component without importing any of them. Building
imports only what was chosen; on import, ``register`` refuses a class whose signature is not the one that was read.
"""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from zoo.checks import Refused, suggest
from zoo.registry.options import Option
from zoo.registry.signatures import Unreadable, locate_module, parse_file, read_class_options, read_tree_options

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

KINDS = ("attention", "ffn", "norm", "position", "residual", "initialization", "objective", "data", "tokenizer")
ENTRY_POINTS = "zoo.components"

C = TypeVar("C", bound=type)


@dataclass(frozen=True)
class Entry:
    """A component as the registry lists it; ``filed`` is False for a class that was only registered on import."""

    kind: str
    name: str
    module: str
    cls: str
    options: tuple[Option, ...]
    description: str
    paper: str | None = None
    distribution: str | None = None
    filed: bool = True

    @property
    def path(self) -> str:
        """Qualified name of the class, for messages."""
        return f"{self.module}.{self.cls}"

    def load(self) -> type:
        """Imports the module of the component and returns the class."""
        try:
            importlib.import_module(self.module)
        except Refused:
            raise
        except Exception as error:
            source = f" of {self.distribution}" if self.distribution else ""
            raise Refused(f"{self.kind} {self.name}{source} cannot be imported: {error}") from error
        return _loaded[self.kind, self.name]

    def as_json(self) -> dict[str, Any]:
        """Returns the entry as ``zoo list --json`` prints it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "description": self.description,
            "options": [option.as_json() for option in self.options],
            "paper": self.paper,
            "class": self.path,
            "distribution": self.distribution,
        }


@dataclass(frozen=True, eq=False)
class Index:
    """All components by kind and name, and messages about plug-ins that could not be read."""

    entries: Mapping[tuple[str, str], Entry]
    broken: tuple[str, ...] = ()

    def get_names(self, kind: str) -> list[str]:
        """Returns the sorted names of the components of a kind."""
        return sorted(name for found, name in self.entries if found == kind)

    def get(self, kind: str, name: str) -> Entry:
        """Returns an entry; raises :class:`zoo.checks.Refused` with the closest match for an unknown name."""
        if (kind, name) not in self.entries:
            raise Refused(f"unknown {kind} {name!r}: {suggest(name, self.get_names(kind))}")
        return self.entries[kind, name]


# Imported classes, and entries of classes that are defined outside any component file (in a notebook or a test).
_loaded: dict[tuple[str, str], type] = {}
_unfiled: dict[tuple[str, str], Entry] = {}


def register(kind: str, name: str, *, paper: str | None = None) -> Callable[[C], C]:
    """Registers a component under a name; the keyword-only arguments of its ``__init__`` are its options.

    Raises:
        Refused: if the kind is unknown, the name is taken, an option's type is outside the closed list, or the
            class that was imported is not the one that was read from its file.
    """
    if kind not in KINDS:
        raise Refused(f"unknown kind {kind!r}: {suggest(kind, KINDS)}")

    def decorate(cls: C) -> C:
        seen = Entry(
            kind, name, cls.__module__, cls.__name__, read_class_options(cls), _get_first_line(cls.__doc__), paper
        )
        read = get_index().entries.get((kind, name))
        if read is None:
            _unfiled[kind, name] = replace(seen, filed=False)
            get_index.cache_clear()
        elif read.path != seen.path:
            raise Refused(f"{kind} {name!r} is taken: {read.path} and {seen.path}")
        elif (read.options, read.paper) != (seen.options, seen.paper):
            raise Refused(f"{seen.path}: signature differs from its file: {read.options} != {seen.options}")
        _loaded[kind, name] = cls
        return cls

    return decorate


def forget(kind: str, name: str) -> None:
    """Removes the registration of a class that is defined outside any component file."""
    _unfiled.pop((kind, name), None)
    _loaded.pop((kind, name), None)
    get_index.cache_clear()


def get_live_options(kind: str, name: str) -> tuple[Option, ...]:
    """Returns the options of a component, read from the imported class, so that they can construct dataclasses."""
    return read_class_options(get_index().get(kind, name).load())


@functools.cache
def get_index() -> Index:
    """Returns the index of built-in components, plug-ins, and classes defined elsewhere; it is read once."""
    entries: dict[tuple[str, str], Entry] = {}
    for kind in KINDS:
        for entry in _read_kind(kind):
            _add(entries, entry)
    broken = [problem for point in _plugins() if (problem := _add_plugin(entries, point))]
    for entry in _unfiled.values():
        _add(entries, entry)
    return Index(entries, tuple(broken))


def list_kind(kind: str) -> dict[str, Entry]:
    """Lists the components of one kind by name; without plug-ins it reads no file of another kind."""
    if _unfiled or _plugins():
        return {name: entry for (found, name), entry in get_index().entries.items() if found == kind}
    return {entry.name: entry for entry in (_read_kind(kind) if kind in KINDS else ())}


@functools.cache
def _read_kind(kind: str) -> tuple[Entry, ...]:
    """Returns the built-in components of a kind."""
    files = sorted((Path(__file__).parents[1] / "components" / kind).glob("[!_]*.py"))
    return tuple(entry for file in files for entry in read_module(f"zoo.components.{kind}.{file.stem}", file))


def _plugins() -> list[EntryPoint]:
    from importlib.metadata import entry_points  # takes longer than all else that zoo --help imports

    return list(entry_points(group=ENTRY_POINTS))


def read_module(module: str, file: Path | None = None) -> Iterator[Entry]:
    """Yields the components that a module registers, read from its syntax tree."""
    tree = parse_file(file or locate_module(module))
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            match decorator:
                case ast.Call(
                    func=ast.Name(id="register") | ast.Attribute(attr="register"),
                    args=[ast.Constant(kind), ast.Constant(name)],
                ):
                    yield _build_entry(tree, node, module, str(kind), str(name), _get_paper(decorator))


def _build_entry(tree: ast.Module, node: ast.ClassDef, module: str, kind: str, name: str, paper: str | None) -> Entry:
    try:
        options = read_tree_options(tree, node)
    except Unreadable as error:
        raise Unreadable(f"{module}.{node.name}: {error}") from None
    return Entry(kind, name, module, node.name, options, _get_first_line(ast.get_docstring(node)), paper)


def _get_paper(call: ast.Call) -> str | None:
    return next((ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg == "paper"), None)


def _add(entries: dict[tuple[str, str], Entry], entry: Entry) -> None:
    key = (entry.kind, entry.name)
    if entry.kind not in KINDS:
        raise Refused(f"{entry.path}: unknown kind {entry.kind!r}: {suggest(entry.kind, KINDS)}")
    if key in entries:
        raise Refused(f"{entry.kind} {entry.name!r} is taken: {entries[key].path} and {entry.path}")
    entries[key] = entry


def _add_plugin(entries: dict[tuple[str, str], Entry], point: EntryPoint) -> str | None:
    """Adds the components of a plug-in; returns a message if it cannot be read, without affecting other plug-ins."""
    distribution = point.dist.name if point.dist else point.name
    more = dict(entries)
    try:
        for entry in read_module(point.module):
            _add(more, replace(entry, distribution=distribution))
    except Exception as error:  # anything that a third-party file or its metadata may cause
        return f"plug-in {distribution} is left out: {error}"
    if len(more) == len(entries):
        return f"plug-in {distribution} is left out: {point.value} registers nothing by @register(kind, name)"
    entries.update(more)
    return None


def _get_first_line(doc: str | None) -> str:
    return inspect.cleandoc(doc).splitlines()[0] if doc else ""

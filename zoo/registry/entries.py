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
from zoo.registry.signatures import Unreadable, locate, options_of_class, options_of_tree, parse

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

KINDS = ("attention", "ffn", "norm", "position", "residual", "initialization", "objective", "data", "tokenizer")
ENTRY_POINTS = "zoo.components"

C = TypeVar("C", bound=type)


@dataclass(frozen=True)
class Entry:
    """What the registry knows of one component; ``filed`` is false of a class that was met on import only."""

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
        """Module and class, as messages name it."""
        return f"{self.module}.{self.cls}"

    def load(self) -> type:
        """The class itself; imports its module."""
        try:
            importlib.import_module(self.module)
        except Refused:
            raise
        except Exception as error:
            source = f" of {self.distribution}" if self.distribution else ""
            raise Refused(f"{self.kind} {self.name}{source} cannot be imported: {error}") from error
        return _loaded[self.kind, self.name]

    def as_json(self) -> dict[str, Any]:
        """What ``zoo list --json`` says of it."""
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
    """All components by kind and name, and the plug-ins that could not be read."""

    entries: Mapping[tuple[str, str], Entry]
    broken: tuple[str, ...] = ()

    def names(self, kind: str) -> list[str]:
        """The names of one kind, sorted."""
        return sorted(name for found, name in self.entries if found == kind)

    def get(self, kind: str, name: str) -> Entry:
        """One entry; an unknown name is refused with the near miss and all choices."""
        if (kind, name) not in self.entries:
            raise Refused(f"unknown {kind} {name!r}: {suggest(name, self.names(kind))}")
        return self.entries[kind, name]


# Classes whose modules were imported, and entries that no file declares (a class made in a notebook or a test).
_loaded: dict[tuple[str, str], type] = {}
_unfiled: dict[tuple[str, str], Entry] = {}


def register(kind: str, name: str, *, paper: str | None = None) -> Callable[[C], C]:
    """Register a component under a name; the keyword-only arguments of its ``__init__`` are its options.

    Raises:
        Refused: if the kind is unknown, the name is taken, an option's type is outside the closed list, or the
            class that was imported is not the one that was read from its file.
    """
    if kind not in KINDS:
        raise Refused(f"unknown kind {kind!r}: {suggest(kind, KINDS)}")

    def decorate(cls: C) -> C:
        seen = Entry(kind, name, cls.__module__, cls.__name__, options_of_class(cls), _first_line(cls.__doc__), paper)
        read = index().entries.get((kind, name))
        if read is None:
            _unfiled[kind, name] = replace(seen, filed=False)
            index.cache_clear()
        elif read.path != seen.path:
            raise Refused(f"{kind} {name!r} is taken: {read.path} and {seen.path}")
        elif (read.options, read.paper) != (seen.options, seen.paper):
            raise Refused(f"{seen.path}: signature differs from its file: {read.options} != {seen.options}")
        _loaded[kind, name] = cls
        return cls

    return decorate


def forget(kind: str, name: str) -> None:
    """Take back the registration of a class that no file declares."""
    _unfiled.pop((kind, name), None)
    _loaded.pop((kind, name), None)
    index.cache_clear()


def live_options(kind: str, name: str) -> tuple[Option, ...]:
    """The options of a component as the imported class has them; they can construct dataclasses."""
    return options_of_class(index().get(kind, name).load())


@functools.cache
def index() -> Index:
    """The index of built-in components, plug-ins and unfiled classes; read once."""
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
        return {name: entry for (found, name), entry in index().entries.items() if found == kind}
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
    """The entries that a module declares, from its syntax tree."""
    tree = parse(file or locate(module))
    for node in tree.body:
        if not isinstance(node, ast.ClassDef):
            continue
        for decorator in node.decorator_list:
            match decorator:
                case ast.Call(
                    func=ast.Name(id="register") | ast.Attribute(attr="register"),
                    args=[ast.Constant(kind), ast.Constant(name)],
                ):
                    yield _entry(tree, node, module, str(kind), str(name), _paper(decorator))


def _entry(tree: ast.Module, node: ast.ClassDef, module: str, kind: str, name: str, paper: str | None) -> Entry:
    try:
        options = options_of_tree(tree, node)
    except Unreadable as error:
        raise Unreadable(f"{module}.{node.name}: {error}") from None
    return Entry(kind, name, module, node.name, options, _first_line(ast.get_docstring(node)), paper)


def _paper(call: ast.Call) -> str | None:
    return next((ast.literal_eval(keyword.value) for keyword in call.keywords if keyword.arg == "paper"), None)


def _add(entries: dict[tuple[str, str], Entry], entry: Entry) -> None:
    key = (entry.kind, entry.name)
    if entry.kind not in KINDS:
        raise Refused(f"{entry.path}: unknown kind {entry.kind!r}: {suggest(entry.kind, KINDS)}")
    if key in entries:
        raise Refused(f"{entry.kind} {entry.name!r} is taken: {entries[key].path} and {entry.path}")
    entries[key] = entry


def _add_plugin(entries: dict[tuple[str, str], Entry], point: EntryPoint) -> str | None:
    """Add what a plug-in declares; one that cannot be read becomes a line and takes nothing else down."""
    distribution = point.dist.name if point.dist else point.name
    more = dict(entries)
    try:
        for entry in read_module(point.module):
            _add(more, replace(entry, distribution=distribution))
    except Exception as error:  # whatever a stranger's file or metadata may do
        return f"plug-in {distribution} is left out: {error}"
    if len(more) == len(entries):
        return f"plug-in {distribution} is left out: {point.value} registers nothing by @register(kind, name)"
    entries.update(more)
    return None


def _first_line(doc: str | None) -> str:
    return inspect.cleandoc(doc).splitlines()[0] if doc else ""

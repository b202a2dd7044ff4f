"""Reads signatures both from the syntax tree of a file, without importing it, and from the imported class.

The first makes ``zoo list`` and ``--help`` fast and safe; on import, its result must equal that of the second. Both
return the same list of ``Option``: names, types and defaults of the arguments right of ``*`` in ``__init__``.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.util
import inspect
import sys
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from zoo.checks import Refused
from zoo.registry.options import REQUIRED, Choice, Many, Maybe, Option, Record, Scalar, Type

_SCALARS: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str}
_CLOSED = "option types are int, float, bool, str, Literal of words, X | None, tuple[X, ...] and dataclasses of these"


class Unreadable(Refused):
    """The error for a signature with a type or default that options do not support."""


# ------------------------------------------------------------------------------------------- from a syntax tree


def locate_module(module: str) -> Path:
    """Finds the source file of a module without importing it or its parents."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        raise Unreadable(f"module {module} cannot be found")
    if not rest:
        return Path(spec.origin or "")
    for root in spec.submodule_search_locations or ():
        path = Path(root).joinpath(*rest)
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
    raise Unreadable(f"module {module} cannot be found")


@functools.cache
def parse_file(path: Path) -> ast.Module:
    """Parses a file into a syntax tree, which is cached."""
    try:
        return ast.parse(path.read_text(encoding="utf8"), filename=str(path))
    except (OSError, SyntaxError, ValueError) as error:  # ValueError: not UTF-8, or a null byte
        raise Unreadable(f"{path} cannot be read: {error}") from error


def find_class(tree: ast.Module, name: str) -> ast.ClassDef:
    """Finds the class ``name`` at the top level of a module."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
    raise Unreadable(f"there is no class {name}")


def read_tree_options(tree: ast.Module, node: ast.ClassDef) -> tuple[Option, ...]:
    """Reads the options of a class: the keyword-only arguments of its ``__init__``, which may be inherited."""
    found = _find_constructor(tree, node)
    if found is None:
        return ()
    where, constructor = found
    pairs = zip(constructor.args.kwonlyargs, constructor.args.kw_defaults, strict=True)
    return tuple(_parse_option(where, arg.arg, arg.annotation, default) for arg, default in pairs)


def _find_constructor(tree: ast.Module, node: ast.ClassDef) -> tuple[ast.Module, ast.FunctionDef] | None:
    """Finds the ``__init__`` of a class or the one that it inherits, and the module that defines it."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return tree, item
    for base in node.bases:
        where, definition = _find_base(tree, base)
        if isinstance(definition, ast.ClassDef) and (found := _find_constructor(where, definition)):
            return found
    return None


def _find_base(tree: ast.Module, base: ast.expr) -> tuple[ast.Module, ast.stmt | None]:
    """Finds the statement that defines a base class; None if its source cannot be read, as for an extension module."""
    try:
        return _find_definition(tree, base.id) if isinstance(base, ast.Name) else (tree, None)
    except Unreadable:
        return tree, None


def _parse_option(tree: ast.Module, name: str, annotation: ast.expr | None, default: ast.expr | None) -> Option:
    try:
        if annotation is None:
            raise Unreadable("it has no annotation")
        kind = _parse_type(tree, annotation)
        return Option(name, kind, REQUIRED if default is None else _parse_default(kind, default))
    except Unreadable as error:
        raise Unreadable(f"option {name}: {error}") from None


def _parse_type(tree: ast.Module, node: ast.expr) -> Type:
    match node:
        case ast.Name(id=name) if name in _SCALARS:
            return Scalar(_SCALARS[name])
        case ast.Name(id=name):
            return _resolve_type(tree, name)
        case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
            return Maybe(_parse_type(tree, left))
        case ast.Subscript(value=ast.Name(id="Literal"), slice=values):
            items = values.elts if isinstance(values, ast.Tuple) else [values]
            if words := _get_words([item.value if isinstance(item, ast.Constant) else None for item in items]):
                return Choice(words)
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[inner, ast.Constant(value=rest)])):
            if rest is ...:
                return Many(_parse_type(tree, inner))
    raise Unreadable(f"type {ast.unparse(node)} is not allowed: {_CLOSED}")


def _get_words(values: Sequence[Any]) -> tuple[str, ...]:
    """Returns the values of a Literal, or an empty tuple if they are not all strings."""
    return tuple(values) if all(isinstance(value, str) for value in values) else ()


def _resolve_type(tree: ast.Module, name: str) -> Type:
    """Resolves a dataclass or type alias that is defined in the module or imported into it by name."""
    match _find_definition(tree, name):
        case where, ast.ClassDef() as node:
            return read_tree_record(where, node)
        case where, ast.Assign(value=value):
            return _parse_type(where, value)
    raise Unreadable(f"type {name} is not allowed: {_CLOSED}")


def _find_definition(tree: ast.Module, name: str) -> tuple[ast.Module, ast.stmt | None]:
    """Finds the statement that defines a name, in the module or in the one that it is imported from by name."""
    for node in _statements(tree):
        match node:
            case ast.ClassDef(name=found) | ast.Assign(targets=[ast.Name(id=found)]) if found == name:
                return tree, node
            case ast.ImportFrom(module=str(module), names=names):
                for alias in names:
                    if (alias.asname or alias.name) == name:
                        return _find_definition(parse_file(locate_module(module)), alias.name)
    return tree, None


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yields the statements of a module and those under ``TYPE_CHECKING``, which define lazily imported names."""
    for node in tree.body:
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from node.body


def read_tree_record(tree: ast.Module, node: ast.ClassDef) -> Record:
    """Reads a dataclass as a record of options."""
    if not any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        raise Unreadable(f"type {node.name} is not a dataclass: {_CLOSED}")
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    return Record(
        node.name, tuple(_parse_option(tree, ast.unparse(item.target), item.annotation, item.value) for item in fields)
    )


def _parse_default(kind: Type, node: ast.expr) -> Any:
    """Parses a default: a literal, or a dataclass constructed from literals (returned as a mapping of all fields)."""
    if isinstance(kind, Record) and isinstance(node, ast.Call) and not node.args:
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        known = {option.name: option for option in kind.options}
        return {
            name: _parse_default(option.type, given[name]) if name in given else option.default
            for name, option in known.items()
        }
    try:
        return _normalize(kind, ast.literal_eval(node))
    except ValueError:
        raise Unreadable(f"default {ast.unparse(node)} is not a literal") from None


# ---------------------------------------------------------------------------------------------- from a live class


@functools.cache
def read_class_options(cls: type) -> tuple[Option, ...]:
    """Reads the options of an imported class from its signature."""
    parameters = inspect.signature(cls).parameters.values()
    namespace = vars(sys.modules[cls.__module__])
    own = [item for item in parameters if item.kind is inspect.Parameter.KEYWORD_ONLY]
    try:
        return tuple(_read_option(item.name, item.annotation, item.default, namespace) for item in own)
    except Unreadable as error:
        raise Unreadable(f"{cls.__module__}.{cls.__name__}: {error}") from None


def _read_option(name: str, annotation: Any, default: Any, namespace: dict[str, Any]) -> Option:
    try:
        if annotation is inspect.Parameter.empty:
            raise Unreadable("it has no annotation")
        kind = _read_type(eval(annotation, namespace) if isinstance(annotation, str) else annotation)
        return Option(name, kind, REQUIRED if default is inspect.Parameter.empty else _read_default(kind, default))
    except Unreadable as error:
        raise Unreadable(f"option {name}: {error}") from None


def _read_type(annotation: Any) -> Type:
    if annotation in _SCALARS.values():
        return Scalar(annotation)
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        namespace = vars(sys.modules[annotation.__module__])
        fields = dataclasses.fields(annotation)
        options = tuple(_read_option(item.name, item.type, _get_field_default(item), namespace) for item in fields)
        return Record(annotation.__name__, options, annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal and (words := _get_words(arguments)):
        return Choice(words)
    if origin in (types.UnionType, typing.Union) and len(arguments) == 2 and arguments[1] is type(None):
        return Maybe(_read_type(arguments[0]))
    if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
        return Many(_read_type(arguments[0]))
    raise Unreadable(f"type {annotation} is not allowed: {_CLOSED}")


def _get_field_default(item: dataclasses.Field[Any]) -> Any:
    return inspect.Parameter.empty if item.default is dataclasses.MISSING else item.default


def _read_default(kind: Type, default: Any) -> Any:
    if isinstance(kind, Record):
        return {option.name: _read_default(option.type, getattr(default, option.name)) for option in kind.options}
    return _normalize(kind, default)


def _normalize(kind: Type, value: Any) -> Any:
    """Normalizes a default as validation does, so that 1 and 1.0 are the same default."""
    problems: list[str] = []
    normal = kind.check(value, "default", problems)
    if problems:
        raise Unreadable(problems[0])
    return normal

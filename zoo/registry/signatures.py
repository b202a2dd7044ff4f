"""Reads signatures twice: from the syntax tree of a file, without importing it, and from the live class.

The first makes ``zoo list`` and ``--help`` fast and safe; the second is the truth that it is held to on import.
Both give the same ``Option`` list: names, types and defaults of what stands right of ``*`` in ``__init__``.
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
    """A signature uses a type or default outside the closed list."""


# ------------------------------------------------------------------------------------------- from a syntax tree


def locate(module: str) -> Path:
    """The source file of a module, found without importing it or its parents."""
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
def parse(path: Path) -> ast.Module:
    """The syntax tree of a file, read once."""
    try:
        return ast.parse(path.read_text(encoding="utf8"), filename=str(path))
    except (OSError, SyntaxError, ValueError) as error:  # ValueError: not UTF-8, or a null byte
        raise Unreadable(f"{path} cannot be read: {error}") from error


def find_class(tree: ast.Module, name: str) -> ast.ClassDef:
    """The class ``name`` at the top level of a module."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node
    raise Unreadable(f"there is no class {name}")


def options_of_tree(tree: ast.Module, node: ast.ClassDef) -> tuple[Option, ...]:
    """The options of a class: the keyword-only arguments of its ``__init__``."""
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            pairs = zip(item.args.kwonlyargs, item.args.kw_defaults, strict=True)
            return tuple(_option(tree, arg.arg, arg.annotation, default) for arg, default in pairs)
    return ()


def _option(tree: ast.Module, name: str, annotation: ast.expr | None, default: ast.expr | None) -> Option:
    try:
        if annotation is None:
            raise Unreadable("it has no annotation")
        kind = _type(tree, annotation)
        return Option(name, kind, REQUIRED if default is None else _default(kind, default))
    except Unreadable as error:
        raise Unreadable(f"option {name}: {error}") from None


def _type(tree: ast.Module, node: ast.expr) -> Type:
    match node:
        case ast.Name(id=name) if name in _SCALARS:
            return Scalar(_SCALARS[name])
        case ast.Name(id=name):
            return _named(tree, name)
        case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
            return Maybe(_type(tree, left))
        case ast.Subscript(value=ast.Name(id="Literal"), slice=values):
            items = values.elts if isinstance(values, ast.Tuple) else [values]
            if words := _words([item.value if isinstance(item, ast.Constant) else None for item in items]):
                return Choice(words)
        case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=[inner, ast.Constant(value=rest)])):
            if rest is ...:
                return Many(_type(tree, inner))
    raise Unreadable(f"type {ast.unparse(node)} is not allowed: {_CLOSED}")


def _words(values: Sequence[Any]) -> tuple[str, ...]:
    """The words of a Literal; none if they are not all words."""
    return tuple(values) if all(isinstance(value, str) for value in values) else ()


def _named(tree: ast.Module, name: str) -> Type:
    """A dataclass or an alias of a type, defined in the module or imported into it by name."""
    for node in _statements(tree):
        match node:
            case ast.ClassDef(name=found) if found == name:
                return record_of_tree(tree, node)
            case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                return _type(tree, value)
            case ast.ImportFrom(module=str(module), names=names):
                for alias in names:
                    if (alias.asname or alias.name) == name:
                        return _named(parse(locate(module)), alias.name)
    raise Unreadable(f"type {name} is not allowed: {_CLOSED}")


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements of a module, those for type checkers included, which say where a lazy name is defined."""
    for node in tree.body:
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from node.body


def record_of_tree(tree: ast.Module, node: ast.ClassDef) -> Record:
    """A dataclass as a record of options."""
    if not any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
        raise Unreadable(f"type {node.name} is not a dataclass: {_CLOSED}")
    fields = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    return Record(
        node.name, tuple(_option(tree, ast.unparse(item.target), item.annotation, item.value) for item in fields)
    )


def _default(kind: Type, node: ast.expr) -> Any:
    """A literal, or a dataclass made of literals (then: the mapping of all its fields)."""
    if isinstance(kind, Record) and isinstance(node, ast.Call) and not node.args:
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        known = {option.name: option for option in kind.options}
        return {
            name: _default(option.type, given[name]) if name in given else option.default
            for name, option in known.items()
        }
    try:
        return _normal(kind, ast.literal_eval(node))
    except ValueError:
        raise Unreadable(f"default {ast.unparse(node)} is not a literal") from None


# ---------------------------------------------------------------------------------------------- from a live class


@functools.cache
def options_of_class(cls: type) -> tuple[Option, ...]:
    """The options of a live class, as Python sees them."""
    parameters = inspect.signature(cls).parameters.values()
    namespace = vars(sys.modules[cls.__module__])
    own = [item for item in parameters if item.kind is inspect.Parameter.KEYWORD_ONLY]
    try:
        return tuple(_live_option(item.name, item.annotation, item.default, namespace) for item in own)
    except Unreadable as error:
        raise Unreadable(f"{cls.__module__}.{cls.__name__}: {error}") from None


def _live_option(name: str, annotation: Any, default: Any, namespace: dict[str, Any]) -> Option:
    try:
        if annotation is inspect.Parameter.empty:
            raise Unreadable("it has no annotation")
        kind = _live_type(eval(annotation, namespace) if isinstance(annotation, str) else annotation)
        return Option(name, kind, REQUIRED if default is inspect.Parameter.empty else _live_default(kind, default))
    except Unreadable as error:
        raise Unreadable(f"option {name}: {error}") from None


def _live_type(annotation: Any) -> Type:
    if annotation in _SCALARS.values():
        return Scalar(annotation)
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        namespace = vars(sys.modules[annotation.__module__])
        fields = dataclasses.fields(annotation)
        options = tuple(_live_option(item.name, item.type, _field_default(item), namespace) for item in fields)
        return Record(annotation.__name__, options, annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal and (words := _words(arguments)):
        return Choice(words)
    if origin in (types.UnionType, typing.Union) and len(arguments) == 2 and arguments[1] is type(None):
        return Maybe(_live_type(arguments[0]))
    if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
        return Many(_live_type(arguments[0]))
    raise Unreadable(f"type {annotation} is not allowed: {_CLOSED}")


def _field_default(item: dataclasses.Field[Any]) -> Any:
    return inspect.Parameter.empty if item.default is dataclasses.MISSING else item.default


def _live_default(kind: Type, default: Any) -> Any:
    if isinstance(kind, Record):
        return {option.name: _live_default(option.type, getattr(default, option.name)) for option in kind.options}
    return _normal(kind, default)


def _normal(kind: Type, value: Any) -> Any:
    """A default in the form that checking gives, so that 1 and 1.0 are one default."""
    problems: list[str] = []
    normal = kind.check(value, "default", problems)
    if problems:
        raise Unreadable(problems[0])
    return normal

"""Filters: conditions such as ``norm != dyt or lr < 0.01``, which every run of a study must meet.

Filters are parsed as Python expressions, of which only comparisons, ``and``, ``or``, ``not``, ``in``, lists, and values
are accepted. Nothing is executed.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from zoo.checks import Refused, suggest
from zoo.limits import truncate_repr

_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
}
_WORDS = {"true": True, "false": False, "null": None}


@dataclass(frozen=True)
class Filter:
    """A parsed filter."""

    text: str
    tree: ast.expr

    def has_name(self, name: str) -> bool:
        """True if the filter uses a name."""
        return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(self.tree))

    def is_met(self, known: Mapping[str, Any]) -> bool:
        """True if a run meets the filter.

        Args:
            known: Values of the run by name.

        Raises:
            Refused: If two values cannot be compared.
        """
        return _evaluate_condition(self.tree, self, known)


def read_filter(text: str, where: str, names: Collection[str], words: Collection[str], problems: list[str]) -> Filter:
    """Parses a filter.

    Args:
        text: Text of the filter.
        where: Place of the filter, for messages.
        names: Names that it may use.
        words: Texts that need no quotes, such as the names of arms.
        problems: List to which a line is appended for each problem.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # the last three: null bytes, deep nesting
        why = error.msg if isinstance(error, SyntaxError) else str(error) or "it is nested too deeply"
        problems.append(f"{where}: cannot be read: {why}: got {truncate_repr(text)}")
        return Filter(text, ast.Constant(True))
    found = _find_problems(tree, [*names, *words], condition=True)
    problems += [f"{where}: {problem}: got {text!r}" for problem in dict.fromkeys(found)]
    return Filter(text, ast.Constant(True) if found else tree)


def _find_problems(node: ast.expr, known: Collection[str], *, condition: bool) -> list[str]:
    """Lists what is not accepted in an expression; ``condition`` is True where it must be true or false."""
    match node:
        case ast.BoolOp(values=parts) if condition:
            return [problem for part in parts for problem in _find_problems(part, known, condition=True)]
        case ast.UnaryOp(op=ast.Not(), operand=part) if condition:
            return _find_problems(part, known, condition=True)
        case ast.Compare(left=left, ops=ops, comparators=others) if condition and all(
            type(op) in _COMPARE for op in ops
        ):
            bad = [
                each
                for op, each in zip(ops, others, strict=True)
                if isinstance(op, ast.In | ast.NotIn) and not _is_list(each)
            ]
            not_lists = [f"{ast.unparse(each)} must be a list" for each in bad]
            return not_lists + [
                problem for part in (left, *others) for problem in _find_problems(part, known, condition=False)
            ]
        case ast.Constant(value=str() | int() | float() | bool() | None) if not condition:
            return []
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float())) if not condition:
            return []
        case ast.List(elts=parts) | ast.Tuple(elts=parts) if not condition:
            return [problem for part in parts for problem in _find_problems(part, known, condition=False)]
        case ast.Name() | ast.Attribute() if not condition:
            name = _get_name(node)
            return [] if name in known or name in _WORDS else [f"unknown name {name!r}: {suggest(name, known)}"]
    kind = "a comparison, or several with not, and, or" if condition else "a name, a value or a list"
    return [f"{ast.unparse(node)} must be {kind}"]


def _is_list(node: ast.expr) -> bool:
    return isinstance(node, ast.List | ast.Tuple)


def _get_name(node: ast.expr) -> str:
    return ast.unparse(node)


def _evaluate_condition(node: ast.expr, line: Filter, known: Mapping[str, Any]) -> bool:
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_evaluate_condition(part, line, known) for part in parts)
        case ast.BoolOp(values=parts):
            return any(_evaluate_condition(part, line, known) for part in parts)
        case ast.UnaryOp(operand=part):
            return not _evaluate_condition(part, line, known)
        case ast.Compare(left=left, ops=ops, comparators=others):
            values = [_evaluate(part, known) for part in (left, *others)]
            return all(_compare(op, one, two, line) for op, one, two in zip(ops, values, values[1:], strict=False))
    return bool(_evaluate(node, known))


def _compare(op: ast.cmpop, one: Any, two: Any, line: Filter) -> bool:
    try:
        return _COMPARE[type(op)](one, two)
    except TypeError:
        raise Refused(f"where: {one!r} and {two!r} cannot be compared: got {line.text!r}") from None


def _evaluate(node: ast.expr, known: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [_evaluate(part, known) for part in parts]
    name = _get_name(node)
    return known[name] if name in known else _WORDS.get(name, name)

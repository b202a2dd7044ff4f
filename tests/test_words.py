"""Names and docstrings in the language of the field: functions are verbs, docstrings begin with a verb or a noun."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "zoo"
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
ROOMS = sorted({file.relative_to(ROOT).parts[0] for file in ROOT.rglob("*.py")})
FRAGMENTS = (
    "What",
    "One",
    "Of",
    "By",
    "Whether",
    "How",
    "Who",
    "Where",
    "That",
    "Which",
    "With",
    "In",
    "As",
    "So",
    "If",
    "And",
)
VERBS = set((Path(__file__).parent / "verbs.txt").read_text(encoding="utf8").split())
NOUNS = {
    "constant",  # schedules: configs name them as `zoo.training.schedule.cosine`
    "cosine",
    "inverse_sqrt",
    "warmup_stable_decay",
    "bias",
    "documents",
    "pairs",
    "flops",
    "hidden_states",
    "identity",
    "logits",
    "loss",
    "losses",
    "main",
    "lightning_module_state_dict",
    "optimizer_state",
    "optimizer_step",
    "parameters",
    "results",
    "state_dict",
    "training_step",
    "validation_step",
    "train_dataloader",
    "val_dataloader",
}
"""Methods that are nouns in the interfaces of torch and Lightning, and in ours: values that an object gives."""


def functions(room: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Public functions and methods, apart from properties and nested functions."""
    for file in sorted(ROOT.rglob("*.py")):
        if file.relative_to(ROOT).parts[0] == room:
            for node in _definitions(ast.parse(file.read_text(encoding="utf8")).body):
                yield f"{file.relative_to(ROOT.parent)}:{node.lineno} {node.name}", node


def _definitions(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from _definitions(node.body)


def docstrings(room: str) -> Iterator[tuple[str, str]]:
    """The first line of every docstring in a room."""
    for file in sorted(ROOT.rglob("*.py")):
        if file.relative_to(ROOT).parts[0] == room:
            for node in ast.walk(ast.parse(file.read_text(encoding="utf8"))):
                if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
                    yield f"{file.relative_to(ROOT.parent)}:{getattr(node, 'lineno', 1)}", text.splitlines()[0]


def _is_value(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """True for properties, and for what a fixture or an overload declares."""
    names = {ast.unparse(decorator).split(".")[-1].split("(")[0] for decorator in node.decorator_list}
    return bool(names & {"property", "cached_property", "setter", "overload"})


@pytest.mark.parametrize("room", ROOMS)
def test_functions_are_verbs(room: str) -> None:
    odd = [
        where
        for where, node in functions(room)
        if not node.name.startswith("_")
        and not _is_value(node)
        and node.name.split("_")[0] not in VERBS
        and node.name not in NOUNS
    ]
    assert not odd


@pytest.mark.parametrize("room", ROOMS)
def test_docstrings_begin_with_a_verb_or_a_noun(room: str) -> None:
    assert not [f"{where} {line}" for where, line in docstrings(room) if line.split()[0].strip(",:") in FRAGMENTS]


def test_names_of_the_package_in_docstrings_are_there() -> None:
    """``zoo.room.module.name``, wherever it is written: the module exists, and the name stands in it."""
    missing = []
    for file in sorted(ROOT.rglob("*.py")):
        for name in re.findall(r"(?<![\w./])zoo(?:\.\w+)+", file.read_text(encoding="utf8")):
            path, rest = ROOT, name.split(".")[1:]
            while rest and (path / rest[0]).is_dir():
                path /= rest.pop(0)
            source = path / (f"{rest.pop(0)}.py" if rest and (path / f"{rest[0]}.py").is_file() else "__init__.py")
            if rest and rest[0] != "__file__" and not re.search(rf"\b{rest[0]}\b", source.read_text(encoding="utf8")):
                missing.append(f"{file.relative_to(ROOT)}: {name}")
    assert not missing

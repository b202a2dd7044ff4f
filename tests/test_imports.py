"""Imports go one way, and what must be quick imports nothing heavy: read from syntax trees."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMPONENTS = ("attention", "ffn", "norm", "position", "residual", "objective")
ORDER = [
    {"zoo"},
    {"zoo.checks", "zoo.limits", "zoo.processes"},
    {"zoo.files", "zoo.input_files", "zoo.names", "zoo.options", "zoo.signals"},
    {"zoo.syntax"},
    {"zoo.registry"},
    {"zoo.schema"},
    {"zoo.plan"},
    {"zoo.mask", "zoo.data.special"},
    {"zoo.parameters"},
    {"zoo.cache", "zoo.data.batch", "zoo.data.interfaces", "zoo.documents", "zoo.linear"},
    {"zoo.interfaces"},
    {"zoo.attend", "zoo.activation"},
    {f"zoo.{kind}" for kind in COMPONENTS},
    {"zoo.embedding"},
    {"zoo.head"},
    {"zoo.stack"},
    {"zoo.variants"},
    {"zoo.parts"},
    {"zoo.pairs"},
    {"zoo.build"},
]


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): file for top in ("zoo", "hydra_plugins") for file in sorted(ROOT.joinpath(top).rglob("*.py"))}


def level(module: str) -> int | None:
    """Where a module, or the folder it is in, stands in the order; None is above all of it."""
    for place, names in enumerate(ORDER):
        if module in names or (module.rpartition(".")[0] in names and module.rpartition(".")[0] != "zoo"):
            return place
    return None


@functools.cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf8"))


def imported(module: str, nodes: Iterator[ast.AST]) -> set[str]:
    """Modules that these statements import; ``from zoo.data import batch`` is zoo.data.batch."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            assert node.module is not None
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in inner}
    return found


def everywhere(module: str) -> set[str]:
    """Imports at the top, in functions, and for type checking."""
    return imported(module, ast.walk(tree(module)))


def at_once(module: str) -> set[str]:
    """Imports that happen when the module is imported."""

    def statements(nodes: list[ast.stmt]) -> Iterator[ast.stmt]:
        for node in nodes:
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                continue
            yield node
            for block in ("body", "orelse", "handlers", "finalbody"):
                if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield from statements(getattr(node, block, []))

    return imported(module, statements(tree(module).body))


def reached(module: str) -> set[str]:
    """All that is imported when ``module`` is, packages that it is in included."""
    found: set[str] = set()
    ahead = [module]
    while ahead:
        name = ahead.pop()
        if name in found:
            continue
        found.add(name)
        if name in MODULES:
            ahead += at_once(name)
        if "." in name:
            ahead.append(name.rpartition(".")[0])
    return found


def heavy(module: str) -> set[str]:
    return {name.split(".")[0] for name in reached(module)} & {
        "torch",
        "lightning",
        "hydra",
        "omegaconf",
        "torchmetrics",
    }


@pytest.mark.parametrize("module", [name for name in MODULES if level(name) is not None])
def test_imports_go_one_way(module: str) -> None:
    own = level(module)
    assert own is not None
    for name in everywhere(module):
        if name.split(".")[0] != "zoo":
            continue
        place = level(name)
        same_folder = name.rpartition(".")[0] == module.rpartition(".")[0] != "zoo"
        assert place is not None, f"{module} imports {name}, which is built on it"
        assert place < own or same_folder, f"{module} imports {name}"


def test_the_order_names_modules_that_are_there() -> None:
    folders = {name.rpartition(".")[0] for name in MODULES}
    assert all(name in MODULES or name in folders for names in ORDER for name in names)


@pytest.mark.parametrize("kind", COMPONENTS)
def test_components_do_not_import_another_kind(kind: str) -> None:
    """They meet in the stack."""
    for module in (name for name in MODULES if name.startswith(f"zoo.{kind}.")):
        others = {name.split(".")[1] for name in everywhere(module) if name.count(".") > 1} - {kind}
        assert not others & set(COMPONENTS), f"{module} imports {others}"


@pytest.mark.parametrize("module", MODULES)
def test_only_some_know_hydra_and_lightning(module: str) -> None:
    names = {name.split(".")[0] for name in everywhere(module)}
    if not module.startswith(("zoo.config", "zoo.overrides", "zoo.study", "zoo.commands", "hydra_plugins")):
        assert not names & {"hydra", "omegaconf"}
    if not module.startswith(("zoo.training", "zoo.data")):
        assert not names & {"lightning", "torchmetrics"}


@pytest.mark.parametrize(
    "module",
    ["zoo.registry", "zoo.schema", "zoo.plan", "zoo.statistics", "zoo.data.interfaces"]
    + [name for name in MODULES if name.startswith("zoo.report")],
)
def test_what_must_be_quick_imports_nothing_heavy(module: str) -> None:
    assert not heavy(module)


def test_the_reading_of_imports_sees_what_is_heavy() -> None:
    assert heavy("zoo.build") == {"torch"}
    assert "torch" in heavy("zoo.norm.rms")

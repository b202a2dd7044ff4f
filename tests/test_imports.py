"""Imports go one way through the rooms of the package, and quick modules import nothing heavy."""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = """
    checks limits
    system
    registry
    data
    statistics
    runs
    model
    components
    hub
    generation
    config
    training
    inspect
    report.records
    report.claims
    report.charts
    report.output
    report
    study.plan
    study.match
    study.cells
    study.forecast
    study
    testing
    catalog
    cli
    api
"""
"""Each line may import those above it: rooms, and the modules on the ground floor."""
FLOORS = {room: floor for floor, line in enumerate(ROOMS.split("\n")) for room in line.split()}
KINDS = ("attention", "data", "ffn", "initialization", "norm", "objective", "position", "residual", "tokenizer")
SAME_IDEA = {
    "__init__",
    "__main__",
    "interfaces",  # the abstract classes of a room
    "none",  # the component of a kind that does nothing
    "gpt2",  # its first weights, and the converter of its checkpoints
    "t5",  # its positions, and the converter of its checkpoints
}
"""File names that may occur more than once."""


def name_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(file): file for top in ("zoo", "hydra_plugins") for file in sorted(ROOT.joinpath(top).rglob("*.py"))}


def room_of(module: str) -> str | None:
    """The room that a module is in; None for the package itself and for the command."""
    parts = module.split(".")[1:]
    return next((name for end in (2, 1) if (name := ".".join(parts[:end])) in FLOORS), None)


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


@pytest.mark.parametrize("room", FLOORS)
def test_imports_go_one_way(room: str) -> None:
    upward = [
        f"{module} imports {name}"
        for module in MODULES
        if room_of(module) == room
        for name in everywhere(module)
        if name.startswith("zoo.") and FLOORS[room_of(name) or ""] > FLOORS[room]
    ]
    assert not upward


def test_every_module_is_in_a_room() -> None:
    assert {name for name in MODULES if name.startswith("zoo") and room_of(name) is None} == {"zoo", "zoo.__main__"}
    assert {room_of(name) for name in MODULES} >= set(FLOORS)
    loose = {file.name for file in ROOT.joinpath("zoo").glob("*.py")} - {"__init__.py"}
    assert loose == {"__main__.py", "checks.py", "limits.py"}


def test_every_folder_of_modules_is_a_package() -> None:
    folders = {file.parent for file in MODULES.values() if ROOT / "zoo" in file.parents}
    assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]


def test_the_page_on_architecture_draws_the_rooms() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf8")
    assert page.split("```")[1].split() == ROOMS.split()
    assert not {name.split(".")[0] for name in FLOORS} - set(re.findall(r"`(\w+)(?:\.py)?`", page))


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {module: everywhere(module) & set(MODULES) - {module, "zoo"} for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_modules_import_no_public_name() -> None:
    """``zoo`` itself is for users and plug-ins: it leads to all rooms, so no room may depend on it."""
    for module in MODULES:
        for node in ast.walk(tree(module)):
            if module != "zoo" and isinstance(node, ast.ImportFrom) and node.module == "zoo":
                names = {alias.name for alias in node.names if f"zoo.{alias.name}" not in MODULES}
                assert names <= {"__version__"}, f"{module} imports {names} from zoo"


def test_no_file_name_occurs_twice() -> None:
    names = Counter(file.stem for name, file in MODULES.items() if name.startswith("zoo"))
    assert {name for name, count in names.items() if count > 1} <= SAME_IDEA


@pytest.mark.parametrize("kind", KINDS)
def test_components_do_not_import_another_kind(kind: str) -> None:
    """They meet in the stack."""
    for module in (name for name in MODULES if name.startswith(f"zoo.components.{kind}.")):
        others = {name.split(".")[2] for name in everywhere(module) if name.startswith("zoo.components.")} - {kind}
        assert not others, f"{module} imports {others}"


@pytest.mark.parametrize(
    ("libraries", "rooms"),
    [
        ({"hydra", "omegaconf"}, ("zoo.config", "zoo.study", "zoo.cli", "hydra_plugins")),
        ({"lightning", "torchmetrics"}, ("zoo.training", "zoo.data", "zoo.components.data")),
    ],
)
def test_only_some_know_hydra_and_lightning(libraries: set[str], rooms: tuple[str, ...]) -> None:
    for module in (name for name in MODULES if not name.startswith(rooms)):
        assert not {name.split(".")[0] for name in everywhere(module)} & libraries, module


def test_what_must_be_quick_imports_nothing_heavy() -> None:
    quick = {"zoo", "zoo.registry", "zoo.model.schema", "zoo.model.plan", "zoo.statistics", "zoo.data.interfaces"}
    quick |= {name for name in MODULES if name.startswith(("zoo.report", "zoo.runs"))}
    assert {module: found for module in sorted(quick) if (found := heavy(module))} == {}


def test_the_reading_of_imports_sees_what_is_heavy() -> None:
    assert heavy("zoo.model.build") == {"torch"}
    assert "torch" in heavy("zoo.components.norm.rms")

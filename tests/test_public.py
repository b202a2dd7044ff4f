"""The public names: ``import zoo`` is quick, each name is loaded when it is used, and plug-ins need no other module."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import zoo
from zoo.catalog.__main__ import main
from zoo.training import provenance

ROOT = Path(__file__).parents[1]


def python(*arguments: str, path: Path = ROOT, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a Python of its own, which has ``path`` on its search path, too."""
    search = os.pathsep.join([str(path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, *arguments], env={**os.environ, "PYTHONPATH": search}, cwd=path, capture_output=True, text=True
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


# ------------------------------------------------------------------------------------------------------ lazy names


def test_the_import_is_quick() -> None:
    """In milliseconds of the processor, for others may be using it; the best of a few."""
    script = "import time; begun = time.process_time(); import zoo; print(1000 * (time.process_time() - begun))"
    assert min(float(python("-c", script).stdout) for _ in range(3)) < 50


def test_the_import_loads_no_other_package() -> None:
    script = "import sys; before = {*sys.modules}; import zoo, json; print(json.dumps([*({*sys.modules} - before)]))"
    loaded = {name.split(".")[0] for name in json.loads(python("-c", script).stdout)} - {"zoo"}
    assert loaded <= sys.stdlib_module_names


def test_a_name_is_loaded_when_it_is_used() -> None:
    script = (
        "import sys, zoo\nassert 'register' in dir(zoo) and 'zoo.registry' not in sys.modules\n"
        "assert zoo.register is sys.modules['zoo.registry'].register and 'torch' not in sys.modules"
    )
    python("-c", script)


def test_type_checkers_are_told_the_same_names() -> None:
    """Imports for type checkers, the table of homes, and ``__all__``."""
    tree = ast.parse(Path(zoo.__file__).read_text(encoding="utf8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    told = {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert told.pop("testing") == "zoo"
    assert told == zoo._HOMES
    assert sorted(zoo.__all__) == sorted([*told, "testing"])


@pytest.mark.parametrize("name", zoo.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(zoo, name) is not None
    assert name in dir(zoo)


def test_only_public_names_are_listed() -> None:
    assert dir(zoo) == sorted([*zoo.__all__, "__version__"])
    assert dir(zoo.testing) == sorted(zoo.testing.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'zoo' has no attribute 'attention'"):
        zoo.attention  # noqa: B018


def test_the_public_names_make_no_run_stale() -> None:
    assert not provenance._is_computation(Path("__init__.py"))
    assert provenance._is_computation(Path("model/__init__.py")), "the path counts, not the name"


# --------------------------------------------------------------------------------------------------------- plug-ins

ATTENTION = '''
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

import zoo


@zoo.register("attention", "latest", paper="arXiv:1706.03762")
class Latest(zoo.Attention):
    """Each token takes from itself alone."""

    supports: ClassVar[frozenset[str]] = frozenset({"causal", "packed"})

    def __init__(
        self, dim: int, heads: int, head_dim: int, norm: Callable[[int], zoo.Norm], *, bias: bool = False
    ) -> None:
        super().__init__()
        self.value = nn.Linear(dim, heads * head_dim, bias=bias)
        self.output = zoo.OutputLinear(heads * head_dim, dim, bias=bias)

    def forward(
        self, x: Tensor, memory: Tensor, mask: zoo.Mask, position: zoo.Position, cache: zoo.Cache | None = None
    ) -> Tensor:
        out: Tensor = self.output(self.value(memory))
        return out
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package with one attention in one file, as an installer leaves it."""
    site = tmp_path_factory.mktemp("site")
    (site / "latest_package").mkdir()
    (site / "latest_package" / "__init__.py").touch()
    (site / "latest_package" / "latest.py").write_text(ATTENTION, encoding="utf8")
    info = site / "latest_package-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: latest-package\nVersion: 0.1\n", encoding="utf8")
    points = "[zoo.components]\nlatest = latest_package.latest\n"
    (info / "entry_points.txt").write_text(points, encoding="utf8")
    return site


def test_a_plugin_of_one_file_is_listed(site: Path) -> None:
    lines = python("-m", "zoo", "list", "attention", path=site).stdout.splitlines()
    (line,) = (line for line in lines if line.split()[:1] == ["latest"])
    assert "Each token takes from itself alone. [arXiv:1706.03762] [latest-package]" in line


def test_a_plugin_of_one_file_is_checked(site: Path) -> None:
    only = ("--only", "later_tokens_have_no_influence", "--jobs", "1")
    assert "attention/latest  passed" in python("-m", "zoo", "check", "attention/latest", *only, path=site).stdout


def test_a_plugin_of_one_file_has_a_page_in_the_catalog(site: Path) -> None:
    script = (
        "import sys; from zoo.catalog import __main__ as catalog, component_facts as facts\n"
        "only = lambda kind, plugins=(): [e for e in facts.list_entries(kind, plugins) if e.distribution]\n"
        "catalog.list_entries, catalog.build_matrix = only, lambda plugins: ''\n"
        "print(sorted(path for path, _ in catalog.build_pages()), dict(catalog.build_pages(['latest-package'])))"
    )
    shown = python("-c", script, path=site).stdout
    assert shown.startswith("['README.md', 'matrix.md'] "), "not unless it is asked for"
    assert "[`latest`](attention/latest.md)" in shown
    assert "'attention/latest.md': '# latest" in shown
    assert "class `latest_package.latest.Latest`" in shown


def test_the_catalog_refuses_an_unknown_plugin(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="PLUGIN must be an installed distribution with components: got no-such-one"):
        main([str(tmp_path), "no-such-one"])
    assert not list(tmp_path.iterdir())

"""Modules that are imported when something of them is used."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo.system.deferred_modules import DeferredName, defer_modules


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package that no other test imports, with a class and a submodule."""
    name = f"large_{abs(hash(tmp_path)) % 10**9}"
    home = tmp_path / name
    home.mkdir()
    (home / "__init__.py").write_text("loaded = True\nclass Used:\n    size = 3\n")
    (home / "part.py").write_text("value = 5\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield name
    for each in [each for each in sys.modules if each.split(".")[0] == name]:
        del sys.modules[each]


def is_loaded(name: str) -> bool:
    return "loaded" in vars(sys.modules.get(name, object))


def test_a_module_is_imported_when_a_name_is_used_and_not_before(package: str) -> None:
    bound: dict[str, type] = {}
    with defer_modules({package: ("Used",)}):
        exec(f"import {package}\nfrom {package} import Used", bound)
        assert not is_loaded(package)
        assert hasattr(sys.modules[package], "Used")
    assert package not in sys.modules
    assert isinstance(bound["Used"], DeferredName)
    assert bound["Used"].size == 3
    assert is_loaded(package)
    assert bound["Used"]().size == 3


@pytest.mark.parametrize("line", ["from {0} import loaded", "import {0}.part", "from {0} import *"])
def test_any_other_name_imports_the_module_at_once(line: str, package: str) -> None:
    with defer_modules({package: ("Used",)}):
        exec(line.format(package), {})
        assert is_loaded(package)
    assert is_loaded(package)


def test_what_is_imported_or_not_installed_is_left_alone(package: str) -> None:
    real = importlib.import_module(package)
    with defer_modules({package: ("Used",), "no_such_module": ()}):
        assert sys.modules[package] is real
        with pytest.raises(ModuleNotFoundError, match="no_such_module"):
            importlib.import_module("no_such_module")


def test_lightning_is_imported_without_metrics_of_sound_and_text() -> None:
    script = (
        "import sys\n"
        "if sys.argv[1:]:\n    import lightning\n"
        "else:\n    from zoo.config.lightning_import import import_lightning\n    import_lightning()\n"
        "import torchmetrics.functional.text.bert as bert\n"
        "print('scipy.signal' in sys.modules, 'transformers' in sys.modules)\n"
        "import scipy.signal\nfrom transformers import AutoTokenizer\n"
        "print(scipy.signal.windows.hamming(1)[0], bert.AutoTokenizer.from_pretrained == AutoTokenizer.from_pretrained)"
    )
    for arguments, expected in (([], "False False"), (["control"], "True True")):
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == [expected, "1.0 True"]

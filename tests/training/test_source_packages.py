"""What a run imports is part of what it is: code that is edited makes its result stale, wherever it lies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zoo.checks import Refused
from zoo.config.checking import CheckedConfig
from zoo.registry import forget
from zoo.runs.run_result import RunResult
from zoo.training import provenance
from zoo.training import source_packages as packages
from zoo.training.run import find_status, train
from zoo.training.source_packages import trace

FILES = {
    "own_parts/__init__.py": "",
    "own_parts/steps.py": "RATE = 0.5\n",
    "own_parts/optimizer.py": (
        "import torch\nfrom own_parts.steps import RATE\nfrom own_far import LAST\n\n"
        "class Own(torch.optim.SGD):\n    def __init__(self, params, lr: float) -> None:\n"
        "        super().__init__(params, lr=lr * RATE * LAST)\n"
    ),
    "own_far.py": "import json\nLAST = 1.0\n",
    "own_loose/schedule.py": (
        "from collections.abc import Callable\nfrom . import helper\n\n"
        "def steady() -> Callable[[int], float]:\n    return lambda step: helper.LEVEL\n"
    ),
    "own_loose/helper.py": "LEVEL = 1.0\n",
    "own_loose/other.py": "",
    "own_callback.py": (
        "from lightning.pytorch.callbacks import Callback\n\nclass Quiet(Callback):\n    def __init__(self) -> None:\n"
        "        super().__init__()\n"
    ),
    "own_norm/__init__.py": "",
    "own_norm/half.py": (
        "from typing import final\nfrom zoo.model.interfaces import Norm\nfrom zoo.registry import register\n"
        "from ..own_norm.factor import FACTOR\n\n@final\n@register('norm', 'own_half')\nclass Half(Norm):\n"
        "    def __init__(self, dim: int) -> None:\n        super().__init__()\n\n"
        "    def forward(self, x):\n        return x * FACTOR\n"
    ).replace("..own_norm.factor", ".factor"),
    "own_norm/factor.py": "FACTOR = 0.5\n",
    "own_unrelated.py": "",
}
OWN = [
    "optimizer={_target_: own_parts.optimizer.Own, lr: 0.1}",
    "~optimizer.betas",
    "~optimizer.eps",
    "~optimizer.weight_decay",
    "~optimizer.fused",
    "schedule={_target_: own_loose.schedule.steady}",
    *(f"~schedule.{name}" for name in ("steps", "warmup", "floor")),
    "+callbacks.quiet._target_=own_callback.Quiet",
    "model.norm={name: own_half}",
    "steps=1",
]


def forget_all() -> None:
    """As a new process would begin."""
    for cached in (trace, packages._list_distributions, packages.parse_file):
        cached.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0].startswith("own_")]:
        del sys.modules[name]
    forget("norm", "own_half")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    forget_all()


@pytest.fixture
def own(place: Path, documents: Callable[..., CheckedConfig]) -> Callable[[], CheckedConfig]:
    """A training by code of one's own, as a new process checks it."""

    def make() -> CheckedConfig:
        forget_all()
        __import__("own_norm.half")
        return documents(*OWN)

    return make


def test_code_of_ones_own_makes_a_result_stale(own: Callable[[], CheckedConfig], place: Path) -> None:
    first = train(own())
    assert find_status(own()) == "done"
    assert set(first.packages) == {
        *("own_callback", "own_far", "own_loose.helper", "own_loose.schedule", "own_norm", "own_parts"),
    }
    assert all(told.startswith("source ") for told in first.packages.values())
    edited = [name for name in FILES if name not in ("own_unrelated.py", "own_loose/other.py")]
    for name in edited:
        text = (place / name).read_text()
        (place / name).write_text(f"{text}\n# edited\n")
        assert find_status(own()) == "stale", name
        (place / name).write_text(text)
    for name in ("own_unrelated.py", "own_loose/other.py"):
        (place / name).write_text("edited = True\n")
    assert find_status(own()) == "done"
    (place / "own_parts" / "steps.py").write_text("RATE = 2.0\n")
    second = train(own())
    assert second.metrics["loss"] != first.metrics["loss"]
    assert second.fingerprints["components"] == first.fingerprints["components"]
    (aside,) = (place / "runs" / "stale").iterdir()
    assert RunResult.read(aside) == replace(first, folder=aside)


def install(site: Path, name: str, version: str, *, editable: Path | None = None) -> None:
    """What an installer leaves: the package and its record, or what leads to where it is edited."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(f"{name}/__init__.py,,\n" if editable is None else f"{name}.pth,,\n")
    package = (editable or site) / name
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("import own_far\n")


def told(*modules: str) -> dict[str, str]:
    forget_all()
    return {package.name: str(package) for package in trace(modules).packages}


def test_distributions_are_told_by_version_and_editable_ones_by_content(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, sources = place / "site", place / "sources"
    install(site, "own_lion", "1.2")
    install(site, "own_tiger", "0.3", editable=sources)
    for folder in (site, sources):
        monkeypatch.syspath_prepend(str(folder))
    before = told("own_lion", "own_tiger")
    assert before["own_lion"] == "1.2", "and what it imports is its own affair"
    assert before["own_tiger"].startswith("0.3, source ")
    assert set(before) == {"own_lion", "own_tiger", "own_far"}
    (site / "own_lion" / "__init__.py").write_text("# an installer wrote this\n")
    assert told("own_lion", "own_tiger") == before
    (sources / "own_tiger" / "further.py").write_text("# own packages are taken whole\n")
    after = told("own_lion", "own_tiger")
    assert {name for name in before if before[name] != after[name]} == {"own_tiger"}
    (site / "own_lion-1.2.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: own_lion\nVersion: 1.3\n")
    assert told("own_lion") == {"own_lion": "1.3"}
    assert told("torch.optim", "json.tool", "zoo.checks") == {}
    with pytest.raises(Refused, match="own_missing has no file"):
        told("own_missing")


def test_every_process_tells_the_same(place: Path) -> None:
    """Whatever else it has imported, and in whatever order its sets are."""
    traced = "print(trace(('own_loose.schedule', 'own_parts')))"
    script = "import {}sys\nfrom zoo.training.source_packages import trace\n" + traced
    said = [
        subprocess.run(
            [sys.executable, "-c", script.format(more)],
            env={"PYTHONPATH": f"{place}:{Path(__file__).parents[2]}", "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, more in (("1", ""), ("2", "own_loose.helper, own_far, "))
    ]
    assert said[0] == said[1]
    assert "own_loose.helper" in said[0]


def test_a_component_is_made_of_those_that_it_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mixture of gated experts changes with ``ffn/gated.py``, and so does what a plug-in takes from zoo."""
    monkeypatch.setattr(provenance, "_digest", lambda files: {file.name for file in files})
    found: Any = provenance.hash_components([("ffn", "moe")])
    assert found == {"moe.py", "gated.py"}
    found = provenance.hash_components([("ffn", "mlp")], ["zoo.components.attention.local", "zoo.model.build"])
    assert found == {"mlp.py", "local.py"}

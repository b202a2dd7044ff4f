"""The wheel holds all that the commands need, and works where the checkout is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = out.glob("*.whl")
    return found


def test_the_wheel_holds_configs_experiments_plugin_and_page(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for here, there in (("conf", "zoo/conf"), ("experiments", "zoo/experiments")):
        files = [file.relative_to(ROOT / here) for file in (ROOT / here).rglob("*.yaml")]
        assert files
        assert {f"{there}/{file}" for file in files} <= names
    assert {"hydra_plugins/zoo_study.py", "zoo/py.typed"} <= names
    page = [file for file in (ROOT / "zoo" / "report" / "page").rglob("*") if file.is_file()]
    assert {file.suffix for file in page} >= {".css", ".js"}
    assert {str(file.relative_to(ROOT)) for file in page} <= names
    assert not [name for name in names if name.startswith("tests/")]


def test_the_installed_wheel_works_elsewhere(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def run(script: str, *arguments: str) -> str:
        # An editable install puts the checkout on the path by a .pth file; it must not be what is found.
        head = f"import sys; sys.path[:] = [p for p in sys.path if p != {str(ROOT)!r}]\n"
        done = subprocess.run(
            [sys.executable, "-c", head + script, *arguments],
            capture_output=True,
            text=True,
            cwd=elsewhere,
            env=environment,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    command = "from zoo.cli.main import main; main()"
    assert run("import zoo, hydra_plugins.zoo_study as p; print(zoo.__file__, p.__file__)").count(str(site)) == 2
    assert "grouped_query" in run(command, "list")
    shown = json.loads(run(command, "show", "model=gpt", "data/tokenizer=bytes", "--json"))
    assert shown["model"]["attention"]["name"] == "multi_head"
    # fmt: off
    small = ["model=gpt/tiny", "model.dim=32", "model.layers=1", "model.position.length=64", "data=numbers",
             "data.limit=100", "data.length=64", "steps=1", "trainer=cpu", "threads=1"]
    # fmt: on
    assert "exact_match" in run(command, "train", *small)
    assert len(list(elsewhere.glob("runs/*/result.json"))) == 1

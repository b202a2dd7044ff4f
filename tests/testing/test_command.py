"""The commands ``zoo check`` and ``zoo new``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import final

import pytest

from tests.command import zoo
from zoo.registry import KINDS
from zoo.testing import CHECKS, register_temporarily


def test_a_sound_component_passes_and_the_checks_are_counted() -> None:
    outcome = zoo(
        "check", "norm/none", "--jobs", "1", "--only", "rows_are_independent", "--only", "paper_is_a_valid_reference"
    )
    assert outcome.code == 0, outcome.out
    assert re.search(r"^norm/none  passed  4 checks: 4 passed$", outcome.out, re.MULTILINE)
    assert outcome.out.endswith("1 component, 4 checks: 4 passed\n")


def test_a_broken_one_fails_with_what_was_expected_and_seen() -> None:
    from zoo.components.norm.none import NoNorm

    @final
    class Undescribed(NoNorm):  # type: ignore[misc]
        """A norm."""

        def __init__(self, dim: int) -> None:
            super().__init__(dim)

    with register_temporarily("norm", "undescribed", Undescribed):
        code, out, _ = zoo("check", "norm/undescribed", "--jobs", "1", "--only", "every_argument_is_documented")
    assert code == 1
    assert "every_argument_is_documented: failed" in out
    assert "expected: every argument under Args" in out
    assert "seen:     nothing about dim" in out
    assert f"{__file__}:" in out


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["norm/rmss"], "unknown norm 'rmss': did you mean rms?"),
        (["nrm/rms"], "unknown kind 'nrm': did you mean norm?"),
        (["rms"], "a component is KIND/NAME or package.module:Class: got 'rms': did you mean norm/rms?"),
        (["groupd_query"], "got 'groupd_query': did you mean attention/grouped_query?"),
        (["gated"], "got 'gated': did you mean ffn/gated?"),
        (["rotari"], "got 'rotari': did you mean position/rotary?"),
        (["norm"], "got 'norm', which is a kind: choices: norm/derf, norm/dyt, "),
        (["xyzzy"], "got 'xyzzy'; zoo list prints all components"),
        (["no.module:Here"], "no.module:Here cannot be imported: ModuleNotFoundError"),
        (
            ["zoo.model.cost:Cost"],
            "zoo.model.cost.Cost must be registered: write @register(kind, name) above the class",
        ),
        (["zoo.model.cost:compute_cost"], "zoo.model.cost:compute_cost must be a class: got function"),
        (
            ["norm/rms", "--only", "cached_equals_ful"],
            "unknown check 'cached_equals_ful': did you mean cached_equals_full?",
        ),
        (["norm/rms", "--al"], "unknown flag '--al': did you mean --all?"),
        (["--only", "cached_equals_full"], "nothing to check: give KIND/NAME, package.module:Class or --all"),
        (["norm/rms", "--jobs", "many"], "--jobs: must be a whole number: got many"),
    ],
)
def test_what_cannot_be_checked_is_refused(arguments: list[str], line: str) -> None:
    outcome = zoo("check", *arguments)
    assert outcome.code == 2
    assert line in outcome.err


def test_the_list_describes_every_check() -> None:
    out = zoo("check", "--list").out
    heads = [line for line in out.splitlines() if line and not line.startswith(" ")]
    assert heads == list(dict.fromkeys(item.scope for item in CHECKS.values()))
    for name, item in CHECKS.items():
        assert f"  {name}: {item.description}\n" in out
        assert item.description.endswith(".")
        assert item.look


def test_a_generated_plugin_is_installable_and_passes(tmp_path: Path) -> None:
    """One of each kind, by pip, in a process of its own; the check is the whole kit."""
    for kind in KINDS:
        assert zoo("new", kind, f"my_{kind}", str(tmp_path / kind)).code == 0
    site = tmp_path / "site"
    folders = [str(tmp_path / kind) for kind in KINDS]
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "-q"]
    subprocess.run([sys.executable, "-m", "pip", "install", *offline, "--target", str(site), *folders], check=True)
    env = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    run = [sys.executable, "-c", "from zoo.cli.main import main; main()", "check"]
    done = subprocess.run(
        [*run, *(f"{kind}/my_{kind}" for kind in KINDS), "--jobs", "1"],
        env=env,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(KINDS)} components" in done.stdout
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "norm" / "tests")]
    done = subprocess.run([*tests], env=env, capture_output=True, text=True, cwd=tmp_path / "norm", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d\d passed", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nrm", "mine"], "unknown kind 'nrm': did you mean norm?"),
        (["norm", "rms"], "norm 'rms' is taken by zoo.components.norm.rms.RmsNorm"),
        (["norm", "My-Norm"], "NAME must be a Python name in lower case, of at most 64 characters: got 'My-Norm'"),
        (["norm", "class"], "NAME must be a Python name in lower case, of at most 64 characters: got 'class'"),
    ],
)
def test_what_cannot_be_written_is_refused(arguments: list[str], line: str, tmp_path: Path) -> None:
    outcome = zoo("new", *arguments, str(tmp_path / "new"))
    assert outcome.code == 2
    assert line in outcome.err
    assert not (tmp_path / "new").exists()


def test_files_that_are_there_are_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    outcome = zoo("new", "norm", "mine", str(tmp_path))
    assert outcome.code == 2
    assert f"FOLDER must be empty or absent: got {tmp_path}" in outcome.err
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]

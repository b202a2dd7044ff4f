"""The plug-ins that pages of the documentation build: their files are installed, checked and compared."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.command import zoo
from tests.test_docs import DOCS, ROOT, blocks


def install(project: Path, files: dict[str, str]) -> None:
    """Write the files of a project as an editable installation leaves them: with a folder of metadata beside."""
    for name, body in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(body, encoding="utf8")
    told = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf8"))["project"]
    info = project / f"{told['name'].replace('-', '_')}-{told['version']}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {told['name']}\nVersion: {told['version']}\n"
    (info / "METADATA").write_text(metadata, encoding="utf8")
    points = "\n".join(f"{key} = {value}" for key, value in told["entry-points"]["zoo.components"].items())
    (info / "entry_points.txt").write_text(f"[zoo.components]\n{points}\n", encoding="utf8")


def with_plugin(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(project), str(ROOT), os.environ.get("PYTHONPATH", "")])
    start = [sys.executable, "-c", "from zoo.cli.main import main; main()"]
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf8"}
    return subprocess.run(
        [*start, *arguments], env=environment, cwd=project, capture_output=True, text=True, encoding="utf8"
    )


# ---------------------------------------------------------------------------------------------- adding_a_component.md


@pytest.fixture(scope="module")
def norms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("norms")
    files = {block.file: block.body for block in blocks(ROOT / "docs" / "adding_a_component.md") if block.file}
    install(project, {**files, "my_norms/__init__.py": ""})
    return project


def test_the_plugin_is_listed(norms: Path) -> None:
    done = with_plugin(norms, "list", "norm")
    assert done.returncode == 0, done.stderr
    shown = [line.strip() for line in done.stdout.splitlines()]
    promised = DOCS["adding_a_component"].split("$ zoo list norm")[1].split("$ zoo show")[0].splitlines()[1:]
    assert len(promised) == 4
    for line in promised:
        assert re.sub(r" +", " ", line.strip()) in [re.sub(r" +", " ", item) for item in shown]


def test_the_plugin_is_built_and_refused(norms: Path) -> None:
    chosen = ["show", "model=llama/tiny", "model/norm=mean_power"]
    done = with_plugin(norms, *chosen, "model.norm.power=2", "--json")
    assert done.returncode == 0, done.stderr
    described = json.loads(done.stdout)
    assert described["model"]["norm"] == {"name": "mean_power", "power": 2.0, "eps": 1e-6, "weight": True}
    assert described["modules"]["stack"]["modules"]["final_norm"]["class"] == "MeanPowerNorm"
    refused = with_plugin(norms, *chosen, "model.norm.power=0.5")
    assert refused.returncode == 2
    assert refused.stderr.strip() in DOCS["adding_a_component"]


def test_the_plugin_passes_the_check_that_the_page_names(norms: Path) -> None:
    done = with_plugin(norms, "check", "norm/mean_power", "--jobs", "1", "--only", "rows_are_independent")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "norm/mean_power  passed" in done.stdout


# -------------------------------------------------------------------------------------------------- your_attention.md


@pytest.fixture(scope="module")
def attention(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that ``zoo new`` writes, after the component and the study of the page were put into it."""
    project = tmp_path_factory.mktemp("attention") / "zoo_input_values"
    assert zoo("new", "attention", "input_values", str(project)).code == 0
    shown = {block.file: block.body for block in blocks(ROOT / "docs" / "your_attention.md") if block.file}
    assert set(shown) == {"zoo_input_values/zoo_input_values/input_values.py", "values/study.yaml"}
    install(project, {name.removeprefix("zoo_input_values/"): body for name, body in shown.items()})
    return project


def test_the_attention_passes_its_checks(attention: Path) -> None:
    only = ["--only", "later_tokens_have_no_influence", "--only", "cached_equals_full"]
    done = with_plugin(attention, "check", "attention/input_values", "--jobs", "1", *only)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "attention/input_values  passed" in done.stdout


def test_the_attention_without_its_cache_fails_as_the_page_says(attention: Path) -> None:
    file = attention / "zoo_input_values" / "input_values.py"
    whole = file.read_text(encoding="utf8")
    broken = whole.replace("        if cache is not None:\n            (k, v), mask = cache.extend((k, v), mask)\n", "")
    assert broken != whole
    try:
        file.write_text(broken, encoding="utf8")
        done = with_plugin(attention, "check", "attention/input_values", "--jobs", "1", "--only", "cached_equals_full")
    finally:
        file.write_text(whole, encoding="utf8")
    assert done.returncode == 1, done.stdout + done.stderr
    promised = DOCS["your_attention"].split("in decoder: cached_equals_full: failed")[1].split("```")[0].splitlines()
    assert promised[1].startswith("  expected: ")
    assert promised[1] in done.stdout
    assert promised[3].split(";")[0] in done.stdout


def test_the_study_of_the_page_compares_it_at_equal_parameters(attention: Path) -> None:
    done = with_plugin(attention, "study", "values", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    assert "input_values" in done.stdout


def test_both_languages_build_the_same_plugin() -> None:
    ours, theirs = (
        [(block.file, block.body) for block in blocks(ROOT / "docs" / f"your_attention{language}.md") if block.file]
        for language in ("", ".zh")
    )
    assert ours == theirs

"""The notebooks of the lecture: their form, both languages, and every code cell, run in order at reduced size."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

import zoo as public
from tests.notebook_files import FILES, FOLDER, normalize
from zoo.api.results_frame import build_frame
from zoo.cli.lecture_claims import read_claims, read_model_overrides
from zoo.config.hydra_overrides import drop_hydra_overrides
from zoo.study.gather_runs import gather_runs

CHINESE = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)[^)\s]*\)")
README = (FOLDER / "README.md").read_text(encoding="utf8")
FEWER = {"data=stories": ["data.texts=3000"], "data=chinese": ["data.texts=500"]}
OTHERS = ["data=stories", "data.texts=300"]  # in place of pydocs, which take seconds to read
RESULTS = ("loss", "token_accuracy", "exact_match", "tokens_per_second", "cost.parameters")
by_notebook = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def read_cells(file: Path, kind: str) -> list[str]:
    cells = json.loads(file.read_text(encoding="utf8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


# ------------------------------------------------------------------------------------------------------------- form


def test_every_claim_has_its_notebook() -> None:
    for claim, file in zip(read_claims(), FILES, strict=True):
        assert file.name.startswith(f"{claim.number:02}_")
        head, english, chinese = read_cells(file, "markdown")[0].split("\n\n")
        assert head == f"# {claim.number}. {claim.title['en']} {claim.title['zh']}"
        assert claim.says["en"] in english
        assert claim.says["zh"] in chinese
        row = f"| {claim.number} | [{claim.title['en']} {claim.title['zh']}]({file.name}) |"
        assert row in README


@by_notebook
def test_a_notebook_is_valid_and_has_no_outputs(file: Path) -> None:
    """Of version 4.5, as nbformat requires it, and as Jupyter writes it, so that changes can be read line by line."""
    text = file.read_text(encoding="utf8")
    assert text == normalize(text), "run: python -m tests.notebook_files"
    notebook = json.loads(text)
    assert set(notebook) == {"cells", "metadata", "nbformat", "nbformat_minor"}
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert 6 <= len(notebook["cells"]) <= 14
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        further = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert cell["cell_type"] in ("code", "markdown")
        assert set(cell) == {"cell_type", "id", "metadata", "source", *further}
        assert re.fullmatch(r"[\w-]{1,64}", cell["id"])
        assert cell["source"]
        assert all(line.endswith("\n") for line in cell["source"][:-1])
        assert not cell["source"][-1].endswith("\n")


@by_notebook
def test_code_is_followed_by_what_is_seen(file: Path) -> None:
    cells = json.loads(file.read_text(encoding="utf8"))["cells"]
    for cell, after in zip(cells, [*cells[1:], {"cell_type": "nothing"}], strict=True):
        if cell["cell_type"] == "code":
            assert after["cell_type"] == "markdown", "".join(cell["source"])[:80]
            assert after["source"][0].startswith("**What you see.**")
    last = "".join(cells[-1]["source"])
    assert "**Try.**" in last
    assert "**试一试：**" in last


@by_notebook
def test_every_text_has_both_languages(file: Path) -> None:
    """As many paragraphs in English as below them in Chinese, with the same links."""
    for text in read_cells(file, "markdown"):
        paragraphs = [each for each in text.split("\n\n") if not each.startswith("# ")]
        english, chinese = paragraphs[: len(paragraphs) // 2], paragraphs[len(paragraphs) // 2 :]
        assert len(english) == len(chinese) > 0, text[:80]
        assert all(count_chinese(each) < 0.2 for each in english), text[:80]
        assert all(count_chinese(each) > 0.3 for each in chinese), text[:80]
        assert [LINK.findall(each) for each in english] == [LINK.findall(each) for each in chinese]


def count_chinese(text: str) -> float:
    """The share of Chinese characters outside of code and formulas."""
    words = re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)
    return len(CHINESE.findall(words)) / len(words)


def test_links_lead_somewhere() -> None:
    for text in (README, *(text for file in FILES for text in read_cells(file, "markdown"))):
        for target in LINK.findall(text):
            assert "://" in target or (FOLDER / target).exists(), target


# -------------------------------------------------------------------------------------------------------------- code


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which all notebooks are opened, so that the model that they share is trained once."""
    folder = tmp_path_factory.mktemp("reader") / "docs" / "notebooks"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def trained(reader: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, ...]]]:
    """What the notebook passes to ``zoo.train``, which is made short; what cells change of this process is put back."""
    calls: list[tuple[str, ...]] = []
    real_train = public.train

    def train(*overrides: str) -> object:
        calls.append(overrides)
        few = next((few for data, few in FEWER.items() if data in overrides), OTHERS)
        return real_train(*overrides, "steps=2", "evaluate=2", "threads=1", *few)

    monkeypatch.chdir(reader)
    monkeypatch.setattr(public, "train", train)
    monkeypatch.setattr(public, "study", plan_study)
    GlobalHydra.instance().clear()
    with torch.random.fork_rng():
        yield calls
    GlobalHydra.instance().clear()
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    torch.set_num_threads(1)


def plan_study(*words: str) -> SimpleNamespace:
    """The runs of a study, checked but not trained, with made-up results: trainings of studies are tested elsewhere."""
    described, runs, _ = gather_runs([*drop_hydra_overrides(words), "match=none"])
    return SimpleNamespace(
        results=build_frame(described, runs).with_columns(pl.lit(1.5).alias(name) for name in RESULTS)
    )


def run_cell(body: str, names: dict[str, Any]) -> str:
    """Run a cell as Jupyter does; what it prints, and its last expression as it displays itself."""
    tree, out = ast.parse(body), io.StringIO()
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(out):
        exec(compile(tree, "<cell>", "exec"), names)
        value = None if last is None else eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)
    display: Callable[[], str] | None = getattr(value, "_repr_html_", None)
    return out.getvalue() + ("" if value is None else repr(value) if display is None else display())


def test_a_cell_shows_what_it_prints_and_its_last_expression() -> None:
    names: dict[str, Any] = {}
    assert run_cell("a = 2\nprint(1)\na + 1", names) == "1\n3"
    assert run_cell("a = 2", names) == ""
    assert run_cell("print(a)", names) == "2\n"


@by_notebook
def test_every_cell_runs(file: Path, trained: list[tuple[str, ...]]) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for body in read_cells(file, "code"):
        shown = run_cell(body, names)
        assert shown.strip(), body
        assert not body.startswith("zoo.inspect(") or shown.startswith("<iframe"), shown[:80]
    for overrides in trained:
        for language, data in {"en": "data=stories", "zh": "data=chinese"}.items():
            if data in overrides:
                assert set(overrides) == {*read_model_overrides(language), "runs=../../runs/lecture"}

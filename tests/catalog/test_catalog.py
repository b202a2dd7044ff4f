"""Catalog of the components: committed pages match the registry and are well-formed."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from zoo.catalog import component_page
from zoo.catalog.__main__ import build_pages, write_pages
from zoo.catalog.component_facts import find_conflict, list_entries, measure_cost
from zoo.catalog.markdown_text import escape_cell, to_markdown
from zoo.config.compose import compose_run
from zoo.model.build import check
from zoo.model.schema import SLOTS
from zoo.registry import Entry, get_index
from zoo.registry.docstrings import parse_docstring

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "components"


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return dict(build_pages())


def test_committed_pages_are_those_that_are_generated(generated: dict[str, str]) -> None:
    committed = {path.relative_to(FOLDER).as_posix(): path.read_text("utf8") for path in FOLDER.rglob("*.md")}
    stale = sorted(name for name in {*committed, *generated} if committed.get(name) != generated.get(name))
    assert not stale, f"run make docs: {', '.join(stale)}"


def test_every_component_has_a_page_that_the_index_links(generated: dict[str, str]) -> None:
    own = {
        f"{kind}/{name}.md" for (kind, name), entry in get_index().entries.items() if entry.module.startswith("zoo.")
    }
    assert own == set(generated) - {"README.md", "matrix.md"}
    assert own == set(re.findall(r"\]\((\w+/\w+\.md)\)", generated["README.md"]))


def test_links_lead_somewhere(generated: dict[str, str]) -> None:
    own = {(FOLDER / name).resolve() for name in generated}
    for name, text in generated.items():
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, anchor = target.partition("#")
            found = ((FOLDER / name).parent / path).resolve()
            assert path.startswith("https://") or found in own or found.exists(), f"{name}: {target}"
            assert not anchor or f"\n## {anchor}\n" in generated["README.md"], f"{name}: {target}"


def test_tables_are_whole_and_lines_end_cleanly(generated: dict[str, str]) -> None:
    """Every line of a table has as many cells as its head: a bar in a text would add one."""
    for name, text in generated.items():
        assert text.endswith("\n")
        assert "\n\n\n" not in text
        assert text.count("```") % 2 == 0
        width = 0
        for line in text.splitlines():
            assert line == line.rstrip(), f"{name}: {line!r}"
            bars = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
            assert not bars or not width or bars == width, f"{name}: {line}"
            width = bars
        assert "``" not in text.replace("```", ""), name


@functools.cache
def preset(name: str) -> dict[str, Any]:
    return dict(compose_run([f"model={name}"])["model"])


def test_yaml_and_command_choose_the_component(generated: dict[str, str]) -> None:
    """The configuration on each page is accepted, in the preset of its command."""
    commands = 0
    for kind in SLOTS:
        for entry in list_entries(kind):
            text = generated[f"{kind}/{entry.name}.md"]
            (written,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
            part = yaml.safe_load(written)["model"][kind]
            assert part["name"] == entry.name
            for model, place in re.findall(r"zoo show model=(\S+) model/(\S+)=", text):
                config = preset(model)
                stack, _, slot = place.rpartition("/")
                config = {**config, stack: {slot: part}} if stack else {**config, slot: part}
                assert not check(config)[2], f"{kind}/{entry.name}"
                commands += 1
    assert commands > 20


def test_refusals_are_those_of_build() -> None:
    rotary = (("attention", "none"), ("position", "rotary"))
    assert find_conflict("decoder", *rotary) == find_conflict("decoder", *reversed(rotary))
    assert "rotary would change nothing" in (find_conflict("decoder", *rotary) or "")
    assert find_conflict("decoder", ("attention", "multi_head"), ("position", "rotary")) is None
    assert "does not support cross masks" in (find_conflict("cross-attention", ("attention", "none")) or "")


def test_prices_are_closed_forms() -> None:
    """A gated perceptron has three matrices; attention four, two products a pair, and two vectors a token to keep."""
    gated = measure_cost(get_index().get("ffn", "gated"))
    assert gated is not None
    assert (gated.parameters, gated.flops) == (3 * 256 * 1024, 6 * 256 * 1024)
    assert gated.formula == f"{6 * 256 * 1024:,} L"
    heads = measure_cost(get_index().get("attention", "multi_head"))
    assert heads is not None
    assert heads.parameters == 4 * 256 * 256
    each, pair = 8 * 256 * 256, 4 * 256
    assert heads.formula == f"{each + pair // 2:,} L + {pair // 2} L²"
    assert (heads.cache, heads.cache_per_token, heads.state) == (512 * 2 * 256 * 4, 2 * 256 * 4, 0)
    norms = measure_cost(get_index().get("residual", "pre"))
    assert norms is not None
    assert norms.parameters == 0
    assert measure_cost(get_index().get("attention", "none")) is None


def test_docstrings_become_markdown() -> None:
    doc = parse_docstring(
        """a * b of ``x | y``.

        More, of *it* (arXiv:1706.03762).

        Args:
            dim: features
                of a token.
            eps: added.
        Source: Somebody
        2020.
        """
    )
    assert doc.first == "a * b of ``x | y``."
    assert doc.arguments == {"dim": "features of a token.", "eps": "added."}
    assert doc.source == "Somebody 2020."
    assert escape_cell(to_markdown(doc.first)) == r"a * b of `x \| y`."
    assert to_markdown(doc.text) == r"More, of \*it\* ([arXiv:1706.03762](https://arxiv.org/abs/1706.03762))."
    assert to_markdown("head_dim, <unk> and i < j") == r"head_dim, \<unk> and i < j"


def test_pages_of_components_that_are_gone_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generated: dict[str, str]
) -> None:
    monkeypatch.setattr("zoo.catalog.__main__.build_pages", lambda plugins: generated.items())
    (tmp_path / "norm").mkdir()
    (tmp_path / "norm" / "gone.md").write_text("old")
    write_pages(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.md")} == set(generated)


@pytest.mark.parametrize("name", get_index().get_names("objective"))
def test_an_objective_states_its_loss_and_its_source(name: str) -> None:
    doc = parse_docstring(get_index().get("objective", name).load().__doc__)
    assert re.search(r"The loss is the (mean|sum of the means) of ``-log ", doc.text.replace("\n", " "))
    assert doc.source


@pytest.mark.parametrize("entry", [entry for entry in get_index().entries.values() if entry.paper], ids=str)
def test_a_component_with_a_paper_names_its_source(entry: Entry) -> None:
    assert parse_docstring(entry.load().__doc__).source


@pytest.mark.parametrize("kind", component_page.KINDS)
def test_a_kind_has_the_same_chinese_term_on_all_pages(kind: str) -> None:
    term, _ = component_page.KINDS[kind]
    assert f"\n| `{kind}` {term} | " in (ROOT / "docs" / "concepts.md").read_text(encoding="utf8")
    assert f"\n| {kind} {term} | " in (ROOT / "README.md").read_text(encoding="utf8")

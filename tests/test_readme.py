"""The tables and lists of the README name what there is: every component, preset, page and experiment."""

from __future__ import annotations

import re
from pathlib import Path

from zoo.registry import KINDS, get_index
from zoo.system.installation import find_package_folder

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf8")


def test_the_table_of_kinds_names_every_component_once() -> None:
    rows = {}
    for line in README.splitlines():
        if found := re.match(r"\| (\w+) [^\x00-\x7f]+ \|[^|]*\|([^|]*)\|", line):
            rows[found[1]] = re.findall(r"`(\w+)`", found[2])
    assert {kind: sorted(names) for kind, names in rows.items()} == {
        kind: sorted(get_index().get_names(kind)) for kind in KINDS
    }


def test_the_chinese_readme_has_the_same_parts() -> None:
    """The same headings in order, commands of the English one, and every kind with its Chinese name."""
    chinese = (ROOT / "README.zh-CN.md").read_text(encoding="utf8")
    assert len(re.findall(r"^##? ", chinese, re.MULTILINE)) == len(re.findall(r"^##? ", README, re.MULTILINE))
    kinds = [re.findall(r"^\| (\w+ [^\x00-\x7f]+) \|", text, re.MULTILINE) for text in (README, chinese)]
    assert kinds[0] == kinds[1]
    commands = [set(re.findall(r"^(make \w+|zoo \w+) ", text, re.MULTILINE)) for text in (README, chinese)]
    assert commands[1] <= commands[0] | {"zoo lecture"}


def test_every_preset_is_named() -> None:
    presets = {file.stem for file in (find_package_folder("conf") / "model").glob("*.yaml")} - {"hub"}
    assert presets <= set(re.findall(r"`(\w+)`", README))


def test_every_page_and_experiment_is_linked() -> None:
    pages = [file for file in (ROOT / "docs").glob("*.md") if file.name != "README.md"]
    pages += (ROOT / "experiments").glob("*/README.md")
    links = set(re.findall(r"\]\(([\w./]+)\)", README))
    assert not {str(page.relative_to(ROOT)) for page in pages} - links
    lecture = ROOT / "experiments" / "lecture"
    links = set(re.findall(r"\]\(([\w./]+)\)", (lecture / "README.md").read_text(encoding="utf8")))
    assert not {str(page.relative_to(lecture)) for page in lecture.glob("*/README.md")} - links

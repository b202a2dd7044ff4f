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

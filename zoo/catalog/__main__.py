"""``python -m zoo.catalog FOLDER`` writes all pages and removes those of components that no longer exist."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from zoo.catalog.component_facts import list_entries
from zoo.catalog.component_page import KINDS, build_page
from zoo.catalog.overview_tables import build_index, build_matrix


def build_pages() -> Iterator[tuple[str, str]]:
    """Yields the path of each page and its text."""
    yield "README.md", build_index()
    yield "matrix.md", build_matrix()
    for kind in KINDS:
        for entry in list_entries(kind):
            yield f"{kind}/{entry.name}.md", build_page(entry)


def write_pages(folder: Path) -> None:
    """Writes all pages into ``folder``, and deletes other Markdown files there."""
    known = dict(build_pages())
    for path in folder.rglob("*.md"):
        if path.relative_to(folder).as_posix() not in known:
            path.unlink()
    for name, text in known.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("python -m zoo.catalog FOLDER")
    write_pages(Path(sys.argv[1]))

"""``python -m zoo.catalog FOLDER``: write all pages, and remove those of components that are gone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from zoo.catalog.component_facts import entries
from zoo.catalog.component_page import KINDS, page
from zoo.catalog.overview_tables import index_page, matrix_page


def pages() -> Iterator[tuple[str, str]]:
    """The path of each page, and its text."""
    yield "README.md", index_page()
    yield "matrix.md", matrix_page()
    for kind in KINDS:
        for entry in entries(kind):
            yield f"{kind}/{entry.name}.md", page(entry)


def write(folder: Path) -> None:
    """Write all pages into ``folder``."""
    known = dict(pages())
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
    write(Path(sys.argv[1]))

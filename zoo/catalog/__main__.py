"""``python -m zoo.catalog FOLDER [PLUGIN ...]`` writes all pages and removes those of components that are gone.

A PLUGIN is an installed distribution whose components are described beside those of zoo.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from zoo.catalog.component_facts import list_entries
from zoo.catalog.component_page import KINDS, build_page
from zoo.catalog.overview_tables import build_index, build_matrix
from zoo.registry import get_index


def build_pages(plugins: Collection[str] = ()) -> Iterator[tuple[str, str]]:
    """Yields the path of each page and its text."""
    yield "README.md", build_index(plugins)
    yield "matrix.md", build_matrix(plugins)
    for kind in KINDS:
        for entry in list_entries(kind, plugins):
            yield f"{kind}/{entry.name}.md", build_page(entry)


def write_pages(folder: Path, plugins: Collection[str] = ()) -> None:
    """Writes all pages into ``folder``, and deletes other Markdown files there."""
    known = dict(build_pages(plugins))
    for path in folder.rglob("*.md"):
        if path.relative_to(folder).as_posix() not in known:
            path.unlink()
    for name, text in known.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf8")


def main(arguments: Sequence[str]) -> None:
    """Writes the catalog that a command line asks for."""
    if not arguments:
        sys.exit("python -m zoo.catalog FOLDER [PLUGIN ...]")
    folder, *plugins = arguments
    for name in plugins:
        if not any(entry.distribution == name for entry in get_index().entries.values()):
            sys.exit(f"PLUGIN must be an installed distribution with components: got {name}")
    write_pages(Path(folder), plugins)


if __name__ == "__main__":
    main(sys.argv[1:])

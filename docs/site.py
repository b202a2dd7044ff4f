"""Hooks of MkDocs: pages from outside of ``docs``, an API reference, and links between all of them."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"!?\[([^\]]*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere, and complete the navigation with the folders that it names."""
    for name in ("CONTRIBUTING.md", "CHANGELOG.md"):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    experiments = [path for path in sorted((ROOT / "experiments").rglob("*")) if path.suffix in (".md", ".svg", ".png")]
    for path in experiments:
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    for module, path in _find_modules():
        files.append(File.generated(config, _reference_page(path), content=f"# {module}\n\n::: {module}\n"))
    config.nav = [
        _complete(entry, [file.src_uri for file in files.documentation_pages()]) for entry in config.nav or []
    ]
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Lead links to sources, which are no pages, to their reference; others that leave the site become plain text."""
    here = page.file.src_uri
    origin = posixpath.join("docs", here) if (ROOT / "docs" / here).exists() else here

    def rewrite(match: re.Match[str]) -> str:
        target, _, anchor = match[2].partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        uri = path.removeprefix("docs/")
        if path.endswith(".py") and path.startswith("zoo/"):
            uri, anchor = _reference_page(Path(path)), ""
        elif (ROOT / path).is_dir() and files.get_file_from_path(f"{uri}/README.md"):
            uri = f"{uri}/README.md"
        if files.get_file_from_path(uri) is None:
            return match[1]
        link = posixpath.relpath(uri, posixpath.dirname(here) or ".")
        return match[0].replace(f"({match[2]})", f"({link}{'#' + anchor if anchor else ''})")

    return LINK.sub(rewrite, markdown)


def _find_modules() -> Iterator[tuple[str, Path]]:
    """Modules of the package with a public class or function, and their paths in the repository."""
    for file in sorted((ROOT / "zoo").rglob("*.py")):
        path = file.relative_to(ROOT)
        names = [node.name for node in ast.parse(file.read_text(encoding="utf8")).body if hasattr(node, "name")]
        if any(not str(name).startswith("_") for name in names) and not path.name.startswith("_"):
            yield ".".join(path.with_suffix("").parts), path


def _reference_page(path: Path) -> str:
    return "reference/" + path.relative_to("zoo").with_suffix(".md").as_posix()


def _complete(entry: Any, pages: list[str]) -> Any:
    """Replace a folder by its pages, those in folders below grouped by folder."""
    if isinstance(entry, list):
        return [_complete(each, pages) for each in entry]
    if isinstance(entry, dict):
        return {name: _complete(value, pages) for name, value in entry.items()}
    return _list_folder(entry, pages) if entry.endswith("/") else entry


def _list_folder(folder: str, pages: list[str]) -> list[Any]:
    inside = [page for page in pages if page.startswith(folder)]
    own = sorted(page for page in inside if "/" not in page.removeprefix(folder))
    below = sorted(
        {page.removeprefix(folder).split("/")[0] for page in inside} - {page.removeprefix(folder) for page in own}
    )
    own.sort(key=lambda page: not page.endswith("README.md"))
    return [*own, *({name: _list_folder(f"{folder}{name}/", pages)} for name in below)]

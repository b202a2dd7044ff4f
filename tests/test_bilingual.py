"""Pages and their translations have the same structure; each kind of difference is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bilingual import compare_structure

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [page.relative_to(DOCS).as_posix().removesuffix(".zh.md") for page in sorted(DOCS.rglob("*.zh.md"))]
BLOCK = "```bash\nzoo list\n```\n"
ENGLISH = f"# Title\n\n中文：[页](page.zh.md).\n\n## Part\n\nRun `zoo list` ([help](other.md)).\n\n{BLOCK}"
CHINESE = f"# 标题\n\nEnglish: [page](page.md).\n\n## 部分\n\n运行 `zoo list`（[帮助](other.zh.md)）。\n\n{BLOCK}"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("## 部分", "部分"),
        ("`zoo list`", "`zoo show`"),
        ("other.zh.md", "other.md"),
        ("```bash\nzoo list", "```bash\nzoo show"),
        ("\n\n运行", "\n\n一段。\n\n运行"),
    ],
)
def test_differences_are_found(old: str, new: str, tmp_path: Path) -> None:
    english, chinese, other = (tmp_path / name for name in ("page.md", "page.zh.md", "other.zh.md"))
    english.write_text(ENGLISH, encoding="utf8")
    chinese.write_text(CHINESE.replace(old, new) if old else CHINESE, encoding="utf8")
    other.touch()
    if not old:
        compare_structure(english, chinese)
        return
    with pytest.raises(AssertionError):
        compare_structure(english, chinese)


@pytest.mark.parametrize("page", PAGES)
def test_both_languages_have_the_same_structure(page: str) -> None:
    compare_structure(DOCS / f"{page}.md", DOCS / f"{page}.zh.md")

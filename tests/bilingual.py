"""Comparison of a page with its translation."""

from __future__ import annotations

import re
from pathlib import Path

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def compare_structure(english: Path, chinese: Path) -> None:
    """Asserts that two pages have the same sections, blocks, commands, links, table rows and numbers of paragraphs.

    Blocks between fences are equal to the letter. Links of the Chinese page lead to Chinese pages where there are any.
    """
    ours, theirs = (_split_sections(page) for page in (english, chinese))
    assert len(ours) == len(theirs), "sections"
    for one, other in zip(ours, theirs, strict=True):
        place = one[:40]
        assert FENCED.findall(one) == FENCED.findall(other), place
        assert re.findall(r"`(zoo [^`]*)`", one) == re.findall(r"`(zoo [^`]*)`", other), place
        links = [_translate(link, english) for link in LINK.findall(one) if _find(link, english) != chinese]
        assert links == [link for link in LINK.findall(other) if _find(link, chinese) != english], place
        for pattern in (r"^\|", r"^#+ ", r"^\d+\. ", r"^[-*] ", r"\n\n"):
            counts = [len(re.findall(pattern, FENCED.sub("", text), re.MULTILINE)) for text in (one, other)]
            assert counts[0] == counts[1], f"{place}: {counts} of {pattern}"


def _split_sections(page: Path) -> list[str]:
    """Returns the introduction and the sections of a page."""
    return re.split(r"^##+ ", page.read_text(encoding="utf8"), flags=re.MULTILINE)


def _find(link: str, page: Path) -> Path:
    return (page.parent / link.partition("#")[0]).resolve()


def _translate(link: str, page: Path) -> str:
    """Returns the link as a Chinese page has it."""
    path = _find(link, page)
    translated = f".zh{path.suffix}"
    return (
        link.replace(path.suffix, translated) if "://" not in link and path.with_suffix(translated).exists() else link
    )

"""The page on the lecture says in both languages what the claims say, claim by claim."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zoo.cli.lecture_claims import read_claims

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {"en": DOCS / "lecture.md", "zh": DOCS / "lecture.zh.md"}


def split_sections(language: str) -> list[str]:
    """The introduction, and the section of each claim."""
    return re.split(r"^## ", PAGES[language].read_text(encoding="utf8"), flags=re.MULTILINE)


def test_every_claim_has_its_section_in_both_languages() -> None:
    for language in PAGES:
        _, *sections = split_sections(language)
        assert len(sections) == 12
        for claim, section in zip(read_claims(), sections, strict=True):
            assert section.startswith(f"{claim.number}. {claim.title[language]}\n")
            joined = re.sub(r"\s+", "" if language == "zh" else " ", section)
            assert re.sub(r"\s+", "" if language == "zh" else " ", claim.says[language]) in joined, claim.number


def test_a_claim_that_has_a_study_links_to_it() -> None:
    _, *sections = split_sections("en")
    for claim, section in zip(read_claims(), sections, strict=True):
        if claim.study is not None:
            assert f"../experiments/{claim.study}/README.md" in section, claim.number


@pytest.mark.parametrize("language", PAGES)
def test_the_answer_of_a_study_is_told(language: str) -> None:
    _, *sections = split_sections(language)
    for claim, section in zip(read_claims(), sections, strict=True):
        if claim.answer is not None:
            assert re.sub(r"\s+", "", claim.answer[language]) in re.sub(r"\s+", "", section), claim.number

"""``zoo lecture``: twelve claims in two languages, and commands that run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.command import TINY, zoo
from zoo.cli import lecture
from zoo.cli.lecture_claims import read_claims, read_model_overrides
from zoo.config.checking import check_run
from zoo.config.compose import compose_run
from zoo.inspect.languages import LANGUAGES
from zoo.inspect.page import list_views
from zoo.study.plan.find_study import list_studies

LONGER = ["data/tokenizer=bytes", "model.position.length=256"]  # reads any text of a claim
CLAIMS = {claim.number: claim for claim in read_claims()}


def test_twelve_claims_are_told_in_both_languages() -> None:
    code, out, err = zoo("lecture")
    assert code == 0, err
    assert list(CLAIMS) == list(range(1, 13))
    for claim in CLAIMS.values():
        for language in LANGUAGES:
            assert claim.says[language] in out
            assert claim.title[language] in out
        assert re.search(r"[\u4e00-\u9fff]", claim.says["zh"])


@pytest.mark.parametrize("number", CLAIMS)
def test_every_claim_names_what_is_there(number: int) -> None:
    """Views of the page, a study, and an answer for every verdict; a claim is shown, tested, or both."""
    claim = CLAIMS[number]
    assert set(claim.views) <= set(list_views())
    assert bool(claim.views) == bool(claim.texts)
    assert claim.study is None or claim.study in list_studies()
    assert (claim.verdict is None) == (claim.answer is None)
    assert set(claim.texts) in (set(), set(LANGUAGES))
    assert claim.verdict in (None, "holds", "does_not_hold", "undecided")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_model_of_a_claim_composes(language: str) -> None:
    checked = check_run(compose_run(read_model_overrides(language)))
    checked.require()


def test_a_dry_run_prints_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = zoo("lecture", "8", "--language", "zh", "--dry-run", "--model", "mine")
    assert code == 0, err
    lines = [line for line in out.splitlines() if line.startswith("$ ")]
    assert lines == [
        "$ zoo inspect mine '苹果公司发布了新款iPhone' '她每天吃一个苹果' --language zh --out lecture_8.html"
    ]
    assert list(tmp_path.iterdir()) == []
    studied = zoo("lecture", "5", "--dry-run", "--full", "--model", "mine").out
    assert "$ zoo study lecture/residual_connections\n" in studied


@pytest.mark.parametrize("number", [number for number, claim in CLAIMS.items() if claim.texts])
def test_a_claim_is_shown_by_a_page(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands that it prints are run in this process, with a model that trains in a second."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lecture, "read_model_overrides", lambda language: [*TINY, *LONGER])
    monkeypatch.setattr(
        lecture, "_run_command", lambda words: 0 if words[0] == "study" else zoo(*words, *_short(words)).code
    )
    code, out, err = zoo("lecture", str(number))
    assert code == 0, err
    page = (tmp_path / f"lecture_{number}.html").read_text(encoding="utf8")
    assert all(f'<section id="{view}"' in page for view in CLAIMS[number].views)
    assert CLAIMS[number].says["en"] in out


def _short(words: list[str]) -> list[str]:
    return ["--tokens", "2"] if words[0] == "inspect" else []


@pytest.mark.parametrize("number", CLAIMS)
def test_every_claim_has_a_command(number: int) -> None:
    code, out, err = zoo("lecture", str(number), "--dry-run", "--model", "mine")
    assert code == 0, err
    assert "\n$ zoo " in out


def test_claims_are_told_as_json() -> None:
    found = json.loads(zoo("lecture", "9", "--json").out)
    assert [claim["number"] for claim in found] == [9]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["13"], "unknown claim 13: choices: 1, 2, 3"),
        (["1", "2"], "zoo lecture takes one claim: got 2"),
        (["--full"], "--full: goes with a claim, such as zoo lecture 9"),
        (["1", "--language", "de"], "--language: unknown choice 'de': choices: en, zh"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], line: str) -> None:
    code, _, err = zoo("lecture", *words)
    assert code == 2
    assert line in err

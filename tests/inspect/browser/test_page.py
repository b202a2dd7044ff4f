"""The page of an inspection in a browser: silent, offline, in two languages, whatever the text is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.inspect.conftest import Speaker
from tests.report.browser.test_browser import browser  # noqa: F401
from zoo.components.tokenizer.bpe import BytePairs
from zoo.generation import Sampling
from zoo.inspect.inspect_model import inspect_model
from zoo.inspect.inspect_plan import inspect_plan
from zoo.inspect.page import LANGUAGES, list_views, read_strings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
HOSTILE = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)> &amp; </script>",
    "right-to-left": "שלום \u202eabc\u202c مرحبا",
    "combining": "e\u0301\u0301\u0301 \u0301a",
    "emoji": "👩‍👩‍👧 🏳️‍🌈 🇨🇳",
    "control": "a\x00b\x07\x1b[31m\u2028c",
    "one line": "x" * 10_000,
    "chinese": "苹果公司发布了新款iPhone",
}


@pytest.fixture
def page(browser: Browser) -> Iterator[tuple[Page, list[str]]]:  # noqa: F811
    """A page at phone width, and what it said or asked for."""
    opened, said = browser.new_page(viewport={"width": 390, "height": 844}), []
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None)
    yield opened, said
    opened.close()


def write(folder: Path, speaker: Speaker, variant: str, text: str, **over: Any) -> Path:
    if len(text) > 1000:  # bytes would be more tokens than a page reads
        over["tokenizer"] = BytePairs(vocabulary=259).build(["x" * 200] * 3)
    model, prompting = speaker(variant, position={"name": "rotary"}, **over)
    tokens = 6 if len(text) < 1000 else 1
    return inspect_model(model, prompting, text, "mine", tokens=tokens, sampling=Sampling()).write(folder / "page.html")


@pytest.mark.parametrize("variant", ["decoder", "encoder", "encoder_decoder"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_variant_is_drawn_silently(
    variant: str, scheme: Any, page: tuple[Page, list[str]], speaker: Speaker, tmp_path: Path
) -> None:
    opened, said = page
    opened.emulate_media(color_scheme=scheme)
    opened.goto(write(tmp_path, speaker, variant, "a fluffy blue creature").as_uri())
    views = opened.locator("section.view").count()
    assert views == (8 if variant == "encoder" else 9)
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    assert opened.locator("canvas").first.evaluate(
        "canvas => canvas.getContext('2d').getImageData(0, 0, 1, 1).data[3]"
    ), "a head is painted"
    for size in (390, 1280):
        opened.set_viewport_size({"width": size, "height": 844})
        assert opened.evaluate("document.documentElement.scrollWidth") <= size
    assert said == []


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_texts_are_shown_as_text(
    kind: str, page: tuple[Page, list[str]], speaker: Speaker, tmp_path: Path
) -> None:
    opened, said = page
    opened.goto(write(tmp_path, speaker, "decoder", HOSTILE[kind]).as_uri())
    assert opened.locator("section.view").count() >= 8
    assert opened.locator("img, main script").count() == 0
    assert opened.evaluate("document.documentElement.scrollWidth") <= 390
    assert "\ufffd" not in opened.locator("#head").inner_text()
    assert said == []


def test_a_model_without_weights_has_two_views(page: tuple[Page, list[str]], tmp_path: Path) -> None:
    opened, said = page
    opened.goto(inspect_plan(["model=gemma3", "data/tokenizer=bytes"]).write(tmp_path / "page.html").as_uri())
    assert opened.locator("section.view").count() == 2
    assert opened.locator("#head .chips").count() == 0
    opened.locator("#shapes summary").nth(2).click()
    assert "def forward" in opened.locator("#shapes pre").nth(2).inner_text()
    assert said == []


def test_controls_work(page: tuple[Page, list[str]], speaker: Speaker, tmp_path: Path) -> None:
    opened, said = page
    opened.goto(write(tmp_path, speaker, "decoder", "a fluffy blue").as_uri())
    text = opened.locator("#next_token .text")
    first = text.inner_text()
    opened.locator("#next_token").get_by_role("button", name="Next", exact=True).click()
    assert text.inner_text() != first
    shares = opened.locator("#next_token .candidates .value").first
    before = shares.inner_text()
    opened.locator("#next_token input[type=range]").nth(1).fill("0.1")
    assert shares.inner_text() != before, "a low temperature sharpens the shares"
    opened.locator("#attention .thumbs button").last.click()
    assert "Layer 2" in opened.locator("#attention h3").first.inner_text()
    for name in ("q · k", "scaled", "masked", "softmax"):
        opened.locator("#attention").get_by_role("button", name=name, exact=True).click()
    opened.locator("#attention canvas.grid").hover()
    assert "softmax" in opened.locator("#tip").inner_text()
    opened.locator("#stream input[type=range]").fill("2")
    assert "2/" in opened.locator("#stream h3").inner_text()
    without = opened.locator("#ablation .detail h3")
    largest = without.inner_text()
    opened.locator("#ablation .largest button").nth(1).click()
    second = without.inner_text()
    assert second != largest
    opened.locator("#ablation td").first.click()
    assert without.inner_text() == "Switched off: Layer 1 attention"
    assert opened.locator("#ablation td.now").count() == 1
    assert said == []


def test_the_sum_that_was_asked_for_is_shown_first(
    page: tuple[Page, list[str]], speaker: Speaker, tmp_path: Path
) -> None:
    opened, said = page
    model, prompting = speaker("decoder", position={"name": "rotary"})
    words = ["c-a+b", "d", "b"]
    inspected = inspect_model(model, prompting, "abcd", "mine", tokens=1, sampling=Sampling(), words=words)
    opened.goto(inspected.write(tmp_path / "page.html").as_uri())
    view = opened.locator("#word_vectors")
    chosen = view.locator("select").evaluate_all("all => all.map(each => each.selectedOptions[0].textContent)")
    assert chosen == ["c", "a", "b"]
    named = view.locator("select").first.locator("option").all_inner_texts()
    assert named[:2] == words[1:], "a sum cannot be added"
    assert len(set(named)) == len(named), "a word that was asked for is not listed again as a token of the text"
    assert "c-a+b" not in view.locator("ol").last.locator(".chip").all_inner_texts()
    assert said == []


def test_the_chosen_token_is_drawn_at_the_settings_that_wrote_it(
    page: tuple[Page, list[str]], speaker: Speaker, tmp_path: Path
) -> None:
    opened, _ = page
    opened.goto(write(tmp_path, speaker, "decoder", "go").as_uri())
    for _ in range(6):
        assert opened.locator("#next_token .candidates .chosen.would").count() == 1
        opened.locator("#next_token").get_by_role("button", name="Next", exact=True).click()


def test_the_language_switches_everything(page: tuple[Page, list[str]], speaker: Speaker, tmp_path: Path) -> None:
    """No English sentence of the page is left in Chinese."""
    opened, said = page
    opened.goto(write(tmp_path, speaker, "decoder", "7 8 9").as_uri())
    opened.get_by_role("button", name="中文").click()
    assert opened.evaluate("document.documentElement.lang") == "zh"
    shown = opened.locator("main").inner_text()
    english = [each for each in _texts("en") if len(each) > 12 and "{" not in each]
    assert not [each for each in english if each in shown]
    assert "注意力" in shown
    opened.get_by_role("button", name="English").click()
    assert "Attention" in opened.locator("main").inner_text()
    assert said == []


def _texts(language: str, found: Any = None) -> Iterator[str]:
    found = read_strings() if found is None else found
    if set(found) == set(LANGUAGES):
        yield found[language]
        return
    for value in found.values():
        yield from _texts(language, value)


def test_no_text_is_missing_in_either_language() -> None:
    """Every text has both languages, with the same values in braces; Chinese has Chinese, and sentences end alike."""

    def walk(path: str, found: dict[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
        if {"en", "zh"} & set(found):
            yield path, found
            return
        for name, value in found.items():
            yield from walk(f"{path}.{name}", value)

    same = {".raw", ".views.next_token.top_k", ".views.next_token.top_p", ".views.attention.stages.product"}
    same |= {".views.attention.stages.softmax"}
    for path, texts in walk("", read_strings()):
        assert set(texts) == set(LANGUAGES), path
        assert set(re.findall(r"\{\w+\}", texts["en"])) == set(re.findall(r"\{\w+\}", texts["zh"])), path
        assert bool(re.search(r"[\u4e00-\u9fff]", texts["zh"])) != (path in same), path
        assert texts["en"].endswith(".") == texts["zh"].endswith("。"), path


def test_every_view_says_what_it_shows_and_what_to_try() -> None:
    for name in list_views():
        assert {"title", "see", "try"} <= set(read_strings()["views"][name])
        assert read_strings()["views"][name]["see"]["en"].startswith("You see")
        assert read_strings()["views"][name]["try"]["en"].startswith("Try")

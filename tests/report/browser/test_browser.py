"""The page in a browser: silent, offline, drawn, and usable at both widths and in both colour schemes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from zoo.report import Task, write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.report.conftest import MakeStudy

Scheme = Literal["light", "dark"]
pytestmark = pytest.mark.browser
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
CHANGED = "before => document.querySelector('.mark-line path')?.getAttribute('NAME') !== before"
TASKS = (Task("numbers", True, ("exact_match", "loss")), Task("text", False, ("loss",), "Two objectives."))
ARMS = {"encoder_decoder": 0.2, "decoder": 0.6, "a decoder with a name far too long for any legend to hold it": 1.2}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium that makes no connections of its own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next((found for found in map(shutil.which, NAMES) if found), None)
    if path is None:
        pytest.skip(f"no Chromium on the path: looked for {', '.join(NAMES)}")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=list(QUIET))
        yield opened
        opened.close()


@contextmanager
def silent(
    browser: Browser, path: Path, width: int = 1280, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Page]:
    """The page at ``path``, drawn; afterwards, nothing may have been said, thrown or asked for."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    noise: list[str] = []
    page.on("console", lambda message: noise.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: noise.append(f"error: {error}"))
    page.on("dialog", lambda dialog: noise.append(f"dialog: {dialog.message}"))
    page.on("request", lambda r: None if r.url.startswith(("file://", "data:")) else noise.append(f"request: {r.url}"))
    page.goto(path.as_uri())
    yield page
    page.close()
    assert noise == []


def drawn(page: Page, figure: int = 0) -> list[str]:
    """The paths of the lines of a chart, once they are there."""
    lines = page.locator("figure.chart").nth(figure).locator(".plot svg .mark-line path")
    lines.first.wait_for(state="attached")
    return [line.get_attribute("d") or "" for line in lines.all()]


def hover(page: Page) -> str:
    """What the tooltip in the middle of the first chart says."""
    plot = page.locator(".plot svg").first
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
    page.mouse.move(box["x"] + box["width"] / 2 + 5, box["y"] + box["height"] / 3)
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    return str(tip.inner_text())


def order(page: Page) -> list[str]:
    return [name.strip() for name in page.locator("table.results").first.locator("tbody .arm").all_inner_texts()]


@pytest.fixture
def report(make_study: MakeStudy, tmp_path: Path) -> Path:
    return write_report(*make_study(ARMS, tasks=TASKS, baseline="decoder"), tmp_path)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_everything_is_drawn_and_fits(browser: Browser, report: Path, width: int, scheme: Scheme) -> None:
    with silent(browser, report, width, scheme) as page:
        assert [len(drawn(page, figure)) for figure in (0, 1)] == [3, 3]
        assert all(path.count("L") > 10 for path in drawn(page))
        for details in page.locator("details").all():
            details.evaluate("element => element.open = true")
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
        plots = page.locator(".plot svg").all()
        assert all(0.75 * width < (plot.bounding_box() or {"width": 0})["width"] <= width for plot in plots)


def test_charts_follow_the_colour_scheme(browser: Browser, report: Path) -> None:
    with silent(browser, report) as page:
        drawn(page)
        line = page.locator(".plot svg .mark-line path").first
        light, paper = line.get_attribute("stroke"), page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.emulate_media(color_scheme="dark")
        page.wait_for_function(CHANGED.replace("NAME", "stroke"), arg=light)
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper


def test_a_table_is_sorted_by_mouse_and_keyboard(browser: Browser, report: Path) -> None:
    with silent(browser, report) as page:
        loss = page.locator("table.results").first.get_by_role("button", name="loss")
        loss.click()
        assert order(page) == list(ARMS)
        loss.focus()
        page.keyboard.press("Enter")
        assert order(page) == list(reversed(ARMS))
        sorted_columns = page.locator("table.results").first.locator("th[aria-sort]")
        assert [column.get_attribute("aria-sort") for column in sorted_columns.all()] == ["descending"]


def test_verdicts_are_read_without_scrolling_and_sorted(browser: Browser, report: Path) -> None:
    with silent(browser, report, 390) as page:
        told = page.locator(".answer").first
        assert "encoder_decoder is better" in told.inner_text()
        box = told.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 390
        assert box["y"] + box["height"] <= 900
        page.locator("table.results").first.get_by_role("button", name="verdict").click()
        verdicts = page.locator("table.results").first.locator("td.verdict b").all_inner_texts()
        assert verdicts == ["better", "worse"]


def test_the_choosers_and_the_legend_change_the_chart(browser: Browser, report: Path) -> None:
    with silent(browser, report) as page:
        before = drawn(page)
        page.locator("select.metric").first.select_option(label="training loss")
        page.wait_for_function(CHANGED.replace("NAME", "d"), arg=before[0])
        chosen = page.locator(".plot svg").first.locator(".mark-text.role-axis-label text").all_inner_texts()
        page.locator("select.axis").first.select_option("tokens")
        page.wait_for_function(
            "before => document.querySelector('.plot .role-axis-label').textContent !== before", arg=chosen[0]
        )
        page.locator(".legend button").first.click()
        page.wait_for_function("document.querySelectorAll('.plot')[0].querySelectorAll('.mark-line path').length === 2")


def test_a_point_tells_its_numbers(browser: Browser, report: Path) -> None:
    with silent(browser, report) as page:
        drawn(page)
        told = hover(page)
        assert all(part in told for part in ("arm", "steps", "mean", "%", "3, from"))


def test_hostile_names_stay_names(browser: Browser, make_study: MakeStudy, tmp_path: Path, hostile: str) -> None:
    names: dict[str, Any] = {hostile: 0.2, "<b>c1</b>": 0.5, "{{ 7 * 7 }}": 0.7, "__proto__": 0.9, "c1": 1.0}
    study, runs = make_study(names, tasks=(Task(hostile, True, ("exact_match",), hostile),), baseline=hostile)
    study = replace(study, name=hostile, command=hostile)
    with silent(browser, write_report(study, runs, tmp_path)) as page:
        assert len(drawn(page)) == 5
        assert page.locator("img").count() == 0
        assert order(page) == list(names)
        assert any(name in hover(page) for name in names)
        assert page.locator("img").count() == 0


@pytest.mark.parametrize("state", ["planned", "running", "failed"])
def test_a_study_without_results(browser: Browser, make_study: MakeStudy, tmp_path: Path, state: str) -> None:
    path = write_report(*make_study({"a": 0.2}, seeds=(0,), state=state), tmp_path)
    with silent(browser, path, 390) as page:
        assert page.get_by_text("On numbers, no run has finished yet.").is_visible()
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")

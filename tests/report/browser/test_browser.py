"""The page in a browser: silent, offline, drawn, and usable at both widths and in both colour schemes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from zoo.report import Run, Study, Task
from zoo.report.output.html import render_page as page_of

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
CHANGED = "before => document.querySelector('[data-chart=curves] .mark-line path')?.getAttribute('d') !== before"
KINDS = ("forest", "curves", "costs", "rates", "lengths", "depths")
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


def written(folder: Path, study: Study, runs: Sequence[Run]) -> Path:
    path = folder / "report.html"
    path.write_text(page_of(study, runs), encoding="utf-8")
    return path


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


def drawn(page: Page, figure: int = 0, kind: str = "curves") -> list[str]:
    """The paths of the lines of a chart, once they are there."""
    chart = page.locator(f"figure[data-chart={kind}]").nth(figure)
    chart.scroll_into_view_if_needed()
    lines = chart.locator(".plot svg .mark-line path")
    lines.first.wait_for(state="attached")
    return [line.get_attribute("d") or "" for line in lines.all()]


def title(page: Page, kind: str, axis: str) -> str:
    """The title of an axis of the first chart of a kind."""
    plot = page.locator(f"figure[data-chart={kind}]").first
    plot.scroll_into_view_if_needed()
    titles = plot.locator(".role-axis-title text")
    titles.first.wait_for(state="attached")
    return str(titles.all_text_contents()[0 if axis == "x" else -1])


def hover(page: Page) -> str:
    """What the tooltip in the middle of the first learning curves says."""
    plot = page.locator("[data-chart=curves] .plot svg").first
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
    return written(tmp_path, *make_study(ARMS, tasks=TASKS, baseline="decoder"))


@pytest.fixture(scope="module")
def full(full_study: tuple[Study, list[Run]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("full"), *full_study)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_everything_is_drawn_and_fits(browser: Browser, report: Path, width: int, scheme: Scheme) -> None:
    with silent(browser, report, width, scheme) as page:
        assert [len(drawn(page, figure)) for figure in (0, 1)] == [3, 3]
        assert all(path.count("L") > 10 for path in drawn(page))
        for details in page.locator("details").all():
            details.evaluate("element => element.open = true")
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
        plots = page.locator("[data-chart=curves] .plot svg").all()
        assert all(0.75 * width < (plot.bounding_box() or {"width": 0})["width"] <= width for plot in plots)


def test_charts_follow_the_colour_scheme(browser: Browser, report: Path) -> None:
    colour = "element => getComputedStyle(element).stroke"
    with silent(browser, report) as page:
        drawn(page)
        line = page.locator("[data-chart=curves] .plot svg .mark-line path").first
        light, paper = line.evaluate(colour), page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.emulate_media(color_scheme="dark")
        assert line.evaluate(colour) != light
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
        assert "encoder_decoder beats decoder" in told.inner_text()
        box = told.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 390
        assert box["y"] + box["height"] <= 900
        page.locator("table.results").first.get_by_role("button", name="verdict").click()
        verdicts = page.locator("table.results").first.locator("td.verdict b").all_inner_texts()
        assert verdicts == ["better", "worse"]


def test_the_choosers_change_the_curves(browser: Browser, report: Path) -> None:
    with silent(browser, report) as page:
        before = drawn(page)
        page.locator("[data-chart=curves] .view").first.select_option(label="training loss")
        page.wait_for_function(CHANGED, arg=before[0])
        assert title(page, "curves", "y") == "training loss"
        for label in ("training tokens", "training FLOPs", "seconds"):
            before = drawn(page)
            page.locator("[data-chart=curves] .axis").first.select_option(label=label)
            page.locator("[data-chart=curves]").first.get_by_text(label, exact=True).last.wait_for(state="attached")
            assert title(page, "curves", "x") == label


def test_an_arm_is_switched_off_in_every_chart(browser: Browser, full: Path) -> None:
    gone = "() => [...document.querySelectorAll('#task-1 .plot')].every(p => !p.innerHTML.includes('var(--c1)'))"
    with silent(browser, full) as page:
        for kind in KINDS:
            page.locator(f"#task-1 [data-chart={kind}]").scroll_into_view_if_needed()
            page.locator(f"#task-1 [data-chart={kind}] svg").wait_for(state="attached")
        assert not page.evaluate(gone)
        button = page.locator(".legend button").nth(1)
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        page.wait_for_function(gone)
        page.get_by_role("button", name="all or none").click()
        page.wait_for_function(gone.replace("() =>", "() => !"))


def test_the_filter_keeps_rows_and_arms_that_hold_its_words(browser: Browser, full: Path) -> None:
    with silent(browser, full) as page:
        assert len(drawn(page)) == 3
        page.get_by_role("searchbox").fill("ffn=gated")
        page.wait_for_function("document.querySelectorAll('[data-chart=curves] .mark-line path').length === 1")
        assert page.locator("#task-1 table.results tbody tr:visible").count() == 1
        page.get_by_role("searchbox").fill("GATED doubly")
        assert page.locator("#task-1 table.results tbody tr:visible th").inner_text().startswith("doubly gated")
        page.get_by_role("searchbox").fill("")
        page.wait_for_function("document.querySelectorAll('[data-chart=curves] .mark-line path').length === 3")


def test_costs_and_depths_have_choosers(browser: Browser, full: Path) -> None:
    with silent(browser, full) as page:
        assert title(page, "costs", "x") == "parameters"
        page.locator("[data-chart=costs] .axis").first.select_option(label="training FLOPs per token")
        page.locator("[data-chart=costs]").first.locator(".role-axis-title", has_text="per token").wait_for(
            state="attached"
        )
        before = drawn(page, kind="depths")
        page.locator("[data-chart=depths] .axis").first.select_option(label="first step")
        page.wait_for_function(CHANGED.replace("curves", "depths"), arg=before[0])
        page.locator("[data-chart=depths] .view").first.select_option(label="gradients")
        page.locator("[data-chart=depths]").first.locator(".role-axis-title", has_text="gradients").wait_for(
            state="attached"
        )


def test_what_came_out_is_on_the_first_screen(browser: Browser, full: Path) -> None:
    with silent(browser, full) as page:
        for what in (".question", ".answer >> nth=0", "td.verdict b >> nth=0", "td .strip .zero >> nth=0"):
            box = page.locator(what).first.bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= 800


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_charts_fit_a_phone(browser: Browser, full: Path, scheme: Scheme) -> None:
    with silent(browser, full, 390, scheme) as page:
        for figure in page.locator("figure.chart").all():
            figure.scroll_into_view_if_needed()
            figure.locator("svg").first.wait_for(state="attached")
        assert page.locator("figure.chart svg").count() == 2 * len(KINDS) + 1
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


def test_a_point_tells_its_numbers(browser: Browser, report: Path) -> None:
    with silent(browser, report) as page:
        drawn(page)
        told = hover(page)
        assert all(part in told for part in ("arm", "steps", "mean", "3, "))


def test_hostile_names_stay_names(browser: Browser, make_study: MakeStudy, tmp_path: Path, hostile: str) -> None:
    names: dict[str, Any] = {hostile: 0.2, "<b>c1</b>": 0.5, "{{ 7 * 7 }}": 0.7, "__proto__": 0.9, "c1": 1.0}
    study, runs = make_study(names, tasks=(Task(hostile, True, ("exact_match",), hostile),), baseline=hostile)
    study = replace(study, name=hostile, command=hostile)
    with silent(browser, written(tmp_path, study, runs)) as page:
        assert len(drawn(page)) == 5
        assert page.locator("img").count() == 0
        assert order(page) == list(names)
        assert any(name in hover(page) for name in names)
        assert page.locator("img").count() == 0


@pytest.mark.parametrize("state", ["planned", "running", "failed"])
def test_a_study_without_results(browser: Browser, make_study: MakeStudy, tmp_path: Path, state: str) -> None:
    path = written(tmp_path, *make_study({"a": 0.2}, seeds=(0,), state=state))
    with silent(browser, path, 390) as page:
        assert page.get_by_text("On numbers, no run has finished yet.").is_visible()
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")

"""The page: complete, safe whatever the names, and the same for every state of a study."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zoo.report import Run, Study, Task, build_study, read_run, write_report
from zoo.report.claims.table import Cell
from zoo.report.output.html import render_page
from zoo.report.output.samples import collect_samples
from zoo.report.output.seed_dots import WIDTH, build_strips
from zoo.report.output.templates import insert_breaks
from zoo.report.records.caveats import collect_facts, list_warnings
from zoo.report.records.metrics import Metric
from zoo.runs.run_result import GeneratedText
from zoo.runs.run_start import RunFailure
from zoo.statistics import compute_mean_interval
from zoo.system.pages import embed_json

if TYPE_CHECKING:
    from tests.report.conftest import MakeStudy, WriteRun


class Page(HTMLParser):
    """Text, tags and attributes of a page, scripts and styles apart."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags, self.attributes, self.inside = "", list[str](), list[str](), ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.inside = tag

    def handle_data(self, data: str) -> None:
        if self.inside not in ("script", "style"):
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""


def told(study: Study, runs: list[Any], folder: Path) -> str:
    return " ".join(Page(write_report(study, runs, folder).read_text()).text.split())


def test_the_page_says_all_there_is(make_study: MakeStudy, tmp_path: Path) -> None:
    study, runs = make_study({"a": 0.2, "b": 0.6}, baseline="b")
    study = replace(study, expected="a ahead", not_applicable=(("b", "numbers", "b sees no prefix"),))
    runs[0] = replace(runs[0], result=None, failure=RunFailure("out of memory", "line 1"))
    runs[1] = replace(runs[1], result=None)
    page = told(study, runs, tmp_path)
    for part in (study.question, "a ahead", "On numbers, a has the highest", "out of memory", "a on numbers: seed 1"):
        assert part in page
    for part in ("b sees no prefix", "zoo study experiments/numbers", "AMD EPYC", "4f1d2c9", "9f2c4d1e", "model.name"):
        assert part in page


def test_names_cannot_run_code(make_study: MakeStudy, tmp_path: Path, hostile: str) -> None:
    task = Task(hostile, True, ("exact_match",), hostile)
    study, runs = make_study({hostile: 0.2, "b": 0.6}, tasks=(task,), baseline=hostile, question=hostile)
    reasons = ((hostile, hostile, hostile),)
    study = replace(study, name=hostile, expected=hostile, command=hostile, not_applicable=reasons)
    sample = GeneratedText(hostile, "x", hostile)
    runs = [replace(r, result=r.result and replace(r.result, samples=[sample], git=hostile)) for r in runs]
    runs.append(replace(runs[0], seed=9, result=None, failure=RunFailure(hostile, hostile)))
    page = Page(write_report(study, runs, tmp_path).read_text())
    assert "img" not in page.tags
    assert not [name for name in page.attributes if name.startswith("on")]
    assert page.text.count(hostile) > 10


def test_json_cannot_leave_its_script(hostile: str) -> None:
    text = embed_json({hostile: "\u2028 & <!--"})
    assert not re.search("[<>&\u2028]", text)
    assert json.loads(text) == {hostile: "\u2028 & <!--"}


def test_breaks_are_offered_and_escaped(hostile: str) -> None:
    assert insert_breaks("a_b") == "a_<wbr>b"
    assert "<img" not in insert_breaks(hostile)


def test_nothing_is_loaded_from_elsewhere(make_study: MakeStudy, tmp_path: Path) -> None:
    html = write_report(*make_study({"a": 0.2}), tmp_path).read_text()
    assert not re.findall(r'(?:src|href)="(?!#|data:)', html.split("<script>")[0])
    assert "default-src 'none'" in unescape(html)
    assert "unsafe-eval" not in html.split("<style>")[0]


@pytest.mark.parametrize("state", ["planned", "running", "failed"])
def test_no_finished_run(make_study: MakeStudy, tmp_path: Path, state: str) -> None:
    page = told(*make_study({"a": 0.2}, state=state), tmp_path)
    assert "On numbers, no run has finished yet." in page
    assert ("Nothing was measured yet." in page) == (state == "planned")


def test_one_run_of_a_stranger(tmp_path: Path, write_run: WriteRun) -> None:
    folder = write_run(tmp_path / "r", {"data": {"name": "copy"}, "model": {"name": "decoder"}})
    page = told(*build_study([folder]), tmp_path)
    assert "decoder" in page
    assert "one seed" in page
    assert "there is one arm" in page


def test_diverged_runs_stay_visible(make_study: MakeStudy, tmp_path: Path) -> None:
    study, runs = make_study({"a": 0.2}, metrics={"exact_match": None, "loss": float("nan")})
    page = told(study, runs, tmp_path)
    assert "3 diverged" in page
    assert "no finished run has a finite exact match" in page


def test_the_page_replaces_the_old_one_whole(make_study: MakeStudy, tmp_path: Path) -> None:
    study, runs = make_study({"a": 0.2})
    assert write_report(study, runs, tmp_path / "new" / "folder").is_file()
    assert write_report(study, runs[:1], tmp_path).is_file()
    assert write_report(study, runs, tmp_path).read_text().endswith("</html>\n")
    assert not list(tmp_path.glob(".*.draft"))


def test_a_thousand_runs_make_a_small_page_soon(full_study: tuple[Study, list[Run]]) -> None:
    study, few = full_study
    judged = [run for run in few if not run.tuning]
    arms = {f"arm number {i}": {} for i in range(50)}
    runs = [replace(judged[(i + s) % 18], arm=arm, task=t.name, seed=s)
            for t in study.tasks for i, arm in enumerate(arms) for s in range(10)]  # fmt: skip
    begun = time.process_time()
    html = render_page(replace(study, arms=arms, baseline="arm number 0"), runs)
    assert time.process_time() - begun < 20, "about 5 s of a quiet processor"
    assert len(runs) == 1000
    assert len(html) < 5e6
    assert html.count('aria-pressed="true"') == 24, "charts begin with as many arms as can be told apart"


def test_different_fingerprints_are_warned_of(make_study: MakeStudy) -> None:
    _, runs = make_study({"a": 0.2, "b": 0.6})
    assert list_warnings(runs) == []
    assert runs[0].result is not None
    changed = {"fingerprints": {"data": "0", "code": "0"}, "hardware": {"processor": "M4", "cores": 2}}
    odd = replace(runs[0].result, **changed)
    shown = "\n".join(list_warnings([replace(runs[0], result=odd, notes=("a line ignored",)), *runs[1:]]))
    for part in ("different code", "used different data", "tokens per second are not", "seed 0: a line ignored"):
        assert part in shown
    of_plugin = [
        replace(run, result=run.result and replace(run.result, packages={"zoo-mine": f"0.{run.seed % 2}"}))
        for run in runs
    ]
    assert set(collect_facts(of_plugin)["package zoo-mine"]) == {"0.0", "0.1"}
    warning = "2 different values of package zoo-mine: the runs used different versions of it."
    assert warning in list_warnings(of_plugin)
    apart = replace(runs[0], config={**runs[0].config, "steps": 7})
    assert "Runs of a on numbers differ in more than the seed: steps." in list_warnings([apart, *runs[1:]])


def test_samples_stand_side_by_side(make_study: MakeStudy) -> None:
    _, runs = make_study({"a": 0.0, "b": 4.0})
    shown = collect_samples(runs)
    assert [[p.arm for p in sample.predictions] for sample in shown] == [["a", "b"]] * 6
    right, wrong = shown[0].predictions
    assert (right.right, right.agrees, right.departs) == (True, "412", "")
    assert (wrong.right, wrong.agrees, wrong.departs) == (False, "4", "70")
    assert len(collect_samples(runs, limit=2)) == 2


def test_strips_share_a_scale_and_cut_what_runs_off() -> None:
    loss = Metric.from_name("loss")
    seeds = [{0: 1.0, 1: 1.1}, {0: 3.0, 1: 2.0}, {0: float("nan")}]
    intervals = [compute_mean_interval([1.0, 1.1]), compute_mean_interval([2.0, 3.0]), None]
    narrow, wide, none = build_strips([Cell(loss, v, i) for v, i in zip(seeds, intervals, strict=True)])
    assert none is None
    assert narrow is not None
    assert wide is not None
    assert narrow.mean < wide.mean
    assert len(narrow.caps) == 2
    assert (wide.line, wide.caps) == ((0.0, WIDTH), ()), "ten times wider than the strip"
    assert wide.text == "seed 0: 3.000; seed 1: 2.000"


def test_equal_seeds_have_a_strip() -> None:
    (strip,) = build_strips(
        [Cell(Metric.from_name("exact_match"), {0: 1.0, 1: 1.0}, compute_mean_interval([1.0, 1.0]))]
    )
    assert strip is not None
    assert strip.mean == WIDTH / 2


def test_a_run_that_was_never_started(tmp_path: Path) -> None:
    study = Study("s", "q", "", "a", {"a": {}}, (Task("t", True, ("loss",)),))
    assert "0 of 1 runs finished" in told(study, [read_run(tmp_path / "absent", "a", "t", 0)], tmp_path)

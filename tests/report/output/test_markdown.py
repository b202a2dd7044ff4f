"""The report for a repository: parsed back, with hostile names, the same bytes from the same runs, its pictures."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import yaml
from markdown_it import MarkdownIt

from tests.hostile import FORMULAS
from zoo.report import Match, Run, Study, Task, build_tables, read_run, write_report
from zoo.report.claims.format import format_mean
from zoo.report.output.csv_tables import format_runs_csv, format_table_csv
from zoo.report.output.markdown import format_markdown
from zoo.report.output.markdown_escape import escape_markdown, format_block, format_code, format_table
from zoo.report.output.pictures import Picture
from zoo.report.output.report_folder import MANIFEST
from zoo.runs.run_start import RunFailure

if TYPE_CHECKING:
    from tests.report.conftest import MakeStudy

HOSTILE = (
    "a|b",
    "<img src=x onerror=alert(1)>",
    "two\nlines\r\n| and | a row |",
    "# no heading",
    "1. no list",
    "- nor this",
    "[link](javascript:alert(1))",
    "`code` and ``more``",
    "*stars* __under__ ~~through~~ snake_case_name",
    "back\\slash \\| pipe",
    "&lt;b&gt; $x$",
    "> quote",
    "```",
    "--",
)


def tokens(text: str) -> list[Any]:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)


def spelled(inline: Any) -> str:
    """What a reader sees of one line; anything but text and code is told by its type."""
    kinds = {"text": lambda child: child.content, "code_inline": lambda child: child.content}
    return "".join(kinds.get(child.type, lambda child: f"{{{child.type}}}")(child) for child in inline.children)


def tables(text: str) -> list[list[list[str]]]:
    """Every table as rows of cells."""
    found: list[list[list[str]]] = []
    for token, inline in zip(parsed := tokens(text), parsed[1:], strict=False):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type in ("th_open", "td_open"):
            found[-1][-1].append(spelled(inline))
    return found


def seen(text: str) -> str:
    return re.sub(r"[^\S\u00a0]+", " ", text).strip()


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_read_as_it_is_written(text: str) -> None:
    opened, inline, *_ = parsed = tokens(escape_markdown(text))
    assert (opened.type, len(parsed)) == ("paragraph_open", 3)
    assert spelled(inline) == seen(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cell_holds_what_it_is_given(text: str) -> None:
    (found,) = tables(format_table(["one", "two"], [[escape_markdown(text), "x"], [format_code(text), "y"]]))
    assert found == [["one", "two"], [seen(text), "x"], [seen(text), "y"]]


@pytest.mark.parametrize("text", [*HOSTILE, "````\n</details>"])
def test_a_block_of_code_ends_where_it_should(text: str) -> None:
    (fence,) = tokens(format_block(text))
    assert (fence.type, fence.content.removesuffix("\n")) == ("fence", text.replace("\r\n", "\n"))


def written(study: Study, runs: list[Run], pictures: tuple[Picture, ...] = ()) -> str:
    return format_markdown(study, runs, build_tables(study, runs), pictures)


def test_it_tells_all_in_order(make_study: MakeStudy) -> None:
    study, runs = make_study({"a": 0.2, "b": 0.6}, baseline="b")
    moved = {("a", "numbers"): Match("parameters", "model.hidden", 512, 489, 812_544, 811_000, "heads come in eights")}
    study = replace(study, expected="a ahead", not_applicable=(("b", "numbers", "b sees no prefix"),), matches=moved)
    runs[0] = replace(runs[0], result=None, failure=RunFailure("out of memory", "line 1"))
    runs[1] = replace(runs[1], result=None)
    picture = Picture("curves", "numbers", "Learning curves", "Mean and range.", {})
    text = written(study, runs, (picture,)).replace("\N{NO-BREAK SPACE}", " ")
    parts = (
        "# Encoders and numbers",
        f"**{study.question}**",
        "Expected beforehand: a ahead",
        "4 of 6 runs finished; baseline: b",
        "## The answer so far",
        "## numbers",
        "- a: model.hidden changed from 512 to 489; parameters 811 k, target 813 k (−0.19 %: heads come in eights)",
        "![Learning curves, numbers](pictures/curves.svg)",
        "## What differs between the arms",
        "## What is missing",
        "- a on numbers, seed 0: out of memory",
        "- a on numbers: seeds 1",
        "- b on numbers: b sees no prefix",
        "```\nzoo study experiments/numbers\n```",
        "| training time, all runs | 2 min 4 s |",
    )
    places = [text.find(part) for part in parts]
    assert -1 not in places, [part for part, place in zip(parts, places, strict=True) if place < 0]
    assert places == sorted(places)
    assert "line 1" not in text, "a traceback holds places of the machine"


def test_numbers_are_those_of_the_table(make_study: MakeStudy) -> None:
    study, runs = make_study({"a": 0.2, "b": 0.6}, baseline="b")
    (table,) = build_tables(study, runs)
    results, costs, differences, _ = tables(written(study, runs))
    headings, first, second = results
    assert headings == [
        "arm", "what differs", "exact match (%)", "difference (points)", "adjusted p", "verdict", "loss", "seeds"
    ]  # fmt: skip
    cell = table.rows[0].cells[0]
    one = table.get_comparison(table.rows[0])
    assert one is not None
    assert (first[0], first[1], first[2]) == (
        "{strong_open}a{strong_close}",
        "model.name=a",
        format_mean(cell.metric, cell.interval, unit=False),
    )
    assert (first[5].split(" (")[0], second[5], first[7]) == (one.verdict, "baseline", "3/3")
    assert costs[0] == ["arm", "parameters", "FLOPs/token", "tokens/s", "peak memory", "time of a run"], "what is known"
    assert costs[1][1:] == [
        text.replace(" ", "\N{NO-BREAK SPACE}") for text in ("813 k", "5.40 M", costs[1][3], "120 MB", "31 s")
    ]
    assert differences == [["key", "a", "b"], ["model.name", "a", "b"]]


def test_hostile_names_break_nothing(make_study: MakeStudy) -> None:
    names = dict.fromkeys(HOSTILE, 0.3)
    task = Task(HOSTILE[0], True, ("exact_match",), HOSTILE[2])
    study, runs = make_study(names, range(2), (task,), HOSTILE[1], question=HOSTILE[2])
    study = replace(study, name=HOSTILE[3], expected=HOSTILE[6], command=HOSTILE[12])
    runs[0] = replace(runs[0], result=None, failure=RunFailure(HOSTILE[2]))
    text = written(study, runs)
    results, *_ = tables(text)
    assert [row[0] for row in results[1:]] == [f"{{strong_open}}{seen(name)}{{strong_close}}" for name in HOSTILE]
    assert len({len(row) for row in results}) == 1
    kinds = {child.type for token in tokens(text) for child in token.children or ()}
    assert kinds <= {"text", "code_inline", "strong_open", "strong_close"}, "no link, no image, no markup of a name"
    assert {token.content.strip() for token in tokens(text) if token.type == "html_block"} <= {"</details>"} | {
        token.content.strip() for token in tokens(text) if token.content.startswith("<details>\n<summary>1")
    }


def no_formula(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULAS) else text


def test_csv_is_read_back(make_study: MakeStudy) -> None:
    study, runs = make_study(dict.fromkeys(HOSTILE, 0.3), range(2), baseline="a|b")
    runs[4] = replace(runs[4], result=None, failure=RunFailure('said "no",\nthen died'))
    lost = runs[3].result
    assert lost is not None
    runs[3] = replace(runs[3], result=replace(lost, metrics={**lost.metrics, "loss": None}))
    told = list(csv.DictReader(io.StringIO(format_runs_csv(runs), newline="")))
    assert [(line["arm"], int(line["seed"])) for line in told] == [(no_formula(run.arm), run.seed) for run in runs]
    assert (told[4]["state"], told[4]["error"], told[1]["state"]) == ("failed", 'said "no",\nthen died', "done")
    assert float(told[2]["metrics.exact_match"]) == runs[2].metrics["exact_match"]
    assert (told[3]["metrics.loss"], told[2]["cost.parameters"]) == ("", "812544")
    (table,) = build_tables(study, runs)
    arms = list(csv.DictReader(io.StringIO(format_table_csv([table]), newline="")))
    assert [line["arm"] for line in arms] == list(map(no_formula, HOSTILE))
    last, one = table.rows[-1], table.get_comparison(table.rows[-1])
    assert one is not None
    assert one.interval is not None
    assert float(arms[-1]["comparison high"]) == one.interval.high
    assert float(arms[-1]["adjusted_p"]) == one.adjusted_p
    assert (arms[-1]["against"], arms[-1]["verdict"], arms[-1]["done"]) == ("a|b", one.verdict, str(last.done))


def test_the_same_runs_give_the_same_bytes(make_study: MakeStudy, tmp_path: Path) -> None:
    study, runs = make_study({"a": 0.2, "b": 0.6}, baseline="b")
    for folder in ("one", "two"):
        path = write_report(study, runs, tmp_path / folder).with_name("report.md")
    assert str(tmp_path) not in path.read_text()
    files = {file.relative_to(tmp_path / "one"): file.read_bytes() for file in (tmp_path / "one").rglob("*.*")}
    assert files == {file.relative_to(tmp_path / "two"): file.read_bytes() for file in (tmp_path / "two").rglob("*.*")}
    shown = set(re.findall(r"\]\((pictures/[^)]+)\)", path.read_text()))
    assert shown == {file.as_posix() for file in files if file.suffix == ".svg"}
    assert len(shown) >= 2
    write_report(study, [replace(run, curves=pl.DataFrame()) for run in runs], tmp_path / "two")
    assert (tmp_path / "one" / "pictures" / "curves.svg").exists()
    assert not (tmp_path / "two" / "pictures" / "curves.svg").exists()


def test_places_of_the_machine_are_left_out(make_study: MakeStudy) -> None:
    study, runs = make_study({"a": 0.2})
    runs[0] = replace(
        runs[0], result=None, failure=RunFailure(f"no such file: {Path.cwd()}/data/x.txt, {Path.home()}/y")
    )
    assert "no such file: data/x.txt, …/y" in written(study, runs)


def test_all_forms_are_written_whole(make_study: MakeStudy, tmp_path: Path) -> None:
    write_report(*make_study({"a": 0.2, "b": 0.6}, baseline="b"), tmp_path / "report")
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"report.html", "report.json", "report.md", "table.csv", "runs.csv", "pictures", MANIFEST}
    assert json.loads((tmp_path / "report" / "report.json").read_text())["tasks"][0]["arms"][0]["peak_memory"] == 1.2e8


def test_a_report_of_a_thousand_runs_takes_seconds(tmp_path: Path) -> None:
    """From folders to all forms on one core; in seconds of the processor, since others may use it too."""
    arms, seeds = 200, 5  # 20 arms of 50 seeds take less
    _write_thousand(arms, seeds, tmp_path)
    names = [f"arm {number}" for number in range(arms)]
    task = Task("t", True, ("exact_match", "loss"), margin=1.0)
    study = Study("thousand", "q", "", names[0], {name: {"model.norm": name} for name in names}, (task,))
    started = time.process_time()
    runs = [read_run(tmp_path / f"{i}-{seed}", arm, "t", seed) for i, arm in enumerate(names) for seed in range(seeds)]
    path = write_report(study, runs, tmp_path / "report")
    assert time.process_time() - started < 20
    assert path.stat().st_size < 8e6


def _write_thousand(arms: int, seeds: int, folder: Path) -> None:
    generator, steps = np.random.default_rng(arms), np.arange(1.0, 51.0) * 20
    parts = {
        kind: {"name": "x", "bias": False, "epsilon": 1e-5} for kind in ("attention", "ffn", "position", "residual")
    }
    for number in range(arms):
        for seed in range(seeds):
            run = folder / f"{number}-{seed}"
            run.mkdir()
            match = float(np.clip(0.5 + number / (4 * arms) + generator.normal(0, 0.03), 0, 1))
            columns = {"step": steps, "tokens": steps * 512, "seconds": steps / 30}
            columns |= {f"train/{name}": generator.normal(2, 0.02, 50) for name in ("loss", "gradient_norm", "rate")}
            columns["validation/exact_match"] = match * (1 - np.exp(-steps / 300))
            columns["validation/loss"] = 4 * np.exp(-steps / 300)
            pl.DataFrame(columns).write_csv(run / "metrics.csv")
            metrics = {"exact_match": match, "loss": 1 - match, "tokens_per_second": 16000.0 + seed}
            cost = {"parameters": 800_000 + 1000 * number, "flops_per_token": 5_400_000, "peak_memory_bytes": 1.2e8}
            result = {"metrics": metrics, "cost": cost, "tokens": 512_000, "seconds": 33.0}
            (run / "result.json").write_text(json.dumps(result))
            config = {"model": {"norm": f"arm {number}", **parts}, "data": {"name": "t"}, "seed": seed}
            (run / "config.yaml").write_text(yaml.safe_dump(config))

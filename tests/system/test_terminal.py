"""What reaches a terminal, a spreadsheet and a renderer: names as they are, and no command of a stranger."""

from __future__ import annotations

import ast
import contextlib
import csv
import io
import json
import logging
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from rich.cells import cell_len

from tests.command import TINY, zoo
from tests.hostile import FORMULAS, HOSTILE
from tests.test_imports import MODULES
from zoo.cli import train
from zoo.cli.hydra_flags import build_hydra_command
from zoo.cli.main import main
from zoo.inspect.summary import describe, render
from zoo.report import Run, Study, Task, print_summary, write_report
from zoo.runs.run_result import RunResult
from zoo.system.tables import Column, Terminal, print_table
from zoo.system.terminal import escape_controls, prepare_output, say_raw
from zoo.training import progress

BIDI = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
MARKS = "\u200e\u200f\u061c"


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def commands_in(text: str) -> list[str]:
    """Characters that a terminal may take for commands, but for rich's colors, newlines and tabs."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return [
        char
        for char in plain
        if char not in "\n\t"
        and (unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(char) in BIDI)
    ]


def test_control_characters_are_escaped_and_no_others() -> None:
    """For every character of the basic plane, by the Unicode database; JSON reads the escapes back."""
    for number in range(0x10000):
        char = chr(number)
        escaped = escape_controls(char)
        assert (escaped != char) == bool(commands_in(char) or char in MARKS), hex(number)
        assert escaped == char or json.loads(f'"{escaped}"') == char


def test_there_is_one_door() -> None:
    """Nothing else prints, or makes a console that would take names for markup."""
    for name, path in MODULES.items():
        if name in ("zoo.system.terminal", "zoo.system.tables"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("print", "Console", "rprint"), f"{name}:{node.lineno}"


# ------------------------------------------------------------------------------------------------------ hostile names


def named(names: tuple[str, ...]) -> tuple[Study, list[Run]]:
    task = Task(names[0], True, ("loss", "exact_match"))
    runs = []
    for number, arm in enumerate(names):
        for seed in (1, 2):
            values = {"loss": 1.0 + number / 7 + seed / 50, "exact_match": 0.5 - number / 100}
            curves = pl.DataFrame(
                {"step": [1, 2], "tokens": [1, 2], "seconds": [1.0, 2.0], "validation/loss": [2.0, 1.0]}
            )
            folder = Path(f"r{number}{seed}")
            result = RunResult(folder=folder, metrics=values, git=arm, cost={"parameters": 1000 + number})
            runs.append(Run(arm, task.name, seed, folder, {"model": arm}, result, None, curves))
    reasons = ((names[1], names[0], names[2]),)
    arms = {name: {"model": name} for name in names}
    return Study(names[4], names[5], names[6], names[0], arms, (task,), reasons, f"zoo study {names[6]}"), runs


def test_hostile_names_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    for out in (Tty(), io.StringIO()):
        print_summary(*named(HOSTILE), Terminal(out, width=400))
        told = out.getvalue()
        assert ("\x1b" in told) == out.isatty(), "plain text where there is no terminal"
        assert commands_in(told) == []
        for name in HOSTILE:
            assert escape_controls(name) in told


def test_hostile_names_in_a_report(tmp_path: Path) -> None:
    """The renderer of charts, the table and its spreadsheet take them all."""
    page = write_report(*named(tuple(name for name in HOSTILE if "\udcff" not in name)), tmp_path)
    for path in (page.with_name("report.md"), page.with_name("table.csv"), page.with_name("runs.csv")):
        assert set(commands_in(path.read_bytes().decode())) <= ({"\r"} if path.suffix == ".csv" else set())
    for name in ("table.csv", "runs.csv"):
        lines = list(csv.reader(page.with_name(name).open(encoding="utf8", newline="")))
        assert {"'+1+1", "'-2+3", "'@SUM(1,2)", "'=cmd|' /C calc'!A0"} <= {cell for line in lines for cell in line}
        for cell in (cell for line in lines for cell in line if cell.startswith(FORMULAS)):
            float(cell)  # numbers stay numbers
    pictures = list((tmp_path / "pictures").glob("*.svg"))
    assert len(pictures) > 1
    assert any("layer [/norm]" in path.read_text(encoding="utf8") for path in pictures)


def test_hostile_names_in_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    names = [name for name in HOSTILE if "\udcff" not in name and "{{" not in name]
    arms = {"base": {}, **{name: {"model.hidden": 36 + 4 * number} for number, name in enumerate(names)}}
    pairs = [word.split("=", 1) for word in TINY]
    study = {
        "question": "\x1b]0;owned\x07?",
        "baseline": "base",
        "seeds": 1,
        "overrides": {key: yaml.safe_load(value) for key, value in pairs if key != "threads"},
        "arms": arms,
        "tasks": {"\x1b[2J": {"metrics": ["loss"]}},
    }
    Path("stranger").mkdir()
    Path("stranger/study.yaml").write_text(yaml.safe_dump(study))
    told = zoo("study", "stranger", "--status")
    assert told.code == 0, told.err
    assert commands_in(told.out + told.err) == []
    for name in names:
        assert escape_controls(name) in told.out
    Path("config.json").write_text(json.dumps({"model_type": "llama", "\x1b]0;owned\x07": {"\x9b2J": 1}}))
    told = zoo("show", "model=hub", "model.path=.")
    assert commands_in(told.out + told.err) == []
    assert logging.lastResort is not None
    warning = logging.LogRecord("zoo", logging.WARNING, "", 0, "config.json: ignored: %s", ("\x1b]0;owned\x07",), None)
    assert logging.lastResort.format(warning) == "config.json: ignored: \\u001b]0;owned\\u0007"
    told = zoo("list", "\udcff")  # what Python makes of a byte that is not UTF-8
    assert told == (2, "", "zoo: an argument must be UTF-8: got \\udcff\n")
    told = zoo("\x1b[2J")
    assert told.err.startswith("zoo: unknown command '\\x1b[2J'")


def test_generated_text_is_raw_in_a_pipe_and_escaped_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for out, expected in ((io.StringIO(), "a\tb\n\x1b[2J"), (Tty(), "a\tb\n\\u001b[2J")):
        monkeypatch.setattr(sys, "stdout", out)
        for piece in "a\tb\n\x1b[2J":
            say_raw(piece, end="")
        assert out.getvalue() == expected


# ------------------------------------------------------------------------------------------------------------- tables


def printed(*columns: Column, width: int, title: str = "") -> list[str]:
    out = io.StringIO()
    print_table(Terminal(out, width=width), columns, title=title)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_no_name_is_broken_at_any_width() -> None:
    """Columns go first; then each row becomes a few lines."""
    names = ["grouped_query", "attention=multi_head, norm=rms", "a_name_that_is_longer_than_some_widths"]
    columns = [Column("arm", names, left=True), Column("loss", ["1.234 ± 0.005"] * 3)]
    columns += [Column("parameters", ["123 k"] * 3, dropped=2), Column("FLOPs", ["4.5 M"] * 3, dropped=1)]
    forms = []
    for width in range(24, 100):
        lines = printed(*columns, width=width)
        text = "\n".join(lines)
        assert all(name in text for name in names), width
        assert text.count("1.234 ± 0.005") == 3
        assert all(cell_len(line) <= width for line in lines if line not in names)
        forms.append(("arm" not in text, "FLOPs" in text, "parameters" in text))
    assert list(dict.fromkeys(forms)) == [
        (True, True, True),  # a few lines a row
        (False, False, False),
        (False, False, True),
        (False, True, True),
    ]


@pytest.mark.parametrize("model", ["llama/tiny", "moe_after_dense/tiny", "hybrid/tiny"])
def test_models_are_shown_whole_in_80_columns(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        render(describe([f"model={model}"]))
    assert "…" not in out.getvalue()
    assert all(cell_len(line) <= 80 for line in out.getvalue().splitlines())


def test_a_report_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = ("attention=grouped_query, kv_heads=2", "attention=gated_delta, norm=rms", *"cdefg")
    out = io.StringIO()
    print_summary(*named(names), Terminal(out))
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert all(cell_len(line) <= 80 for line in lines)
    assert all(any(line.startswith(name) for line in lines) for name in names)


# --------------------------------------------------------------------------------------------------- streams and flags


def test_a_stream_that_is_not_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))
    monkeypatch.setattr(sys, "argv", ["zoo", "list", "norm"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    prepare_output()
    columns = [Column("arm", ["数据"], left=True), Column("loss", ["−1.5 ± 0.2"])]
    print_table(Terminal(), columns)
    sys.stdout.flush()
    told = raw.getvalue().decode("ascii")
    assert r"erf(\u03b1 x + s)" in told
    assert r"\u6570\u636e" in told
    assert "-1.5 +- 0.2" in told


def test_a_full_disk_is_told_in_one_line() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("there is no /dev/full here")
    with full.open("w") as out:
        command = [sys.executable, "-m", "zoo", "list", "norm"]
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"zoo: standard output: {os.strerror(28)}\n")


def test_an_error_of_a_file_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, os.strerror(28), "here/file")

    monkeypatch.setattr("zoo.cli.list.get_index", full)
    assert zoo("list") == (1, "", f"zoo: here/file: {os.strerror(28)}\n")


@pytest.mark.parametrize("words", [["a=1", "-m", "b=2,3"], ["a=1", "b=2,3", "--multirun"], ["-m", "a=1", "b=2,3"]])
def test_flags_may_stand_anywhere(words: list[str]) -> None:
    from hydra._internal.utils import get_args_parser

    given = train.PARSER.parse([*words, "-cd", "folder", "c=4"])
    parsed = get_args_parser().parse_args(build_hydra_command(given.forwarded, given.words))
    assert (parsed.multirun, parsed.config_dir, parsed.overrides) == (True, "folder", ["a=1", "b=2,3", "c=4"])


def test_a_terminal_that_cannot_redraw_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Tty())
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(progress.make_progress_bar("", 1), progress.RichBar)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress.make_progress_bar("", 1), progress.ProgressLines)

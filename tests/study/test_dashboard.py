"""What is shown of a study while it runs, in a terminal and elsewhere."""

from __future__ import annotations

import io
import os
import re
import threading
from pathlib import Path

import pytest
import yaml

from tests.study.processes import Begin, Process
from tests.study.test_study import STUDY
from tests.study.test_train_cells import cells, fail, finish  # noqa: F401 (a fixture)
from zoo.runs.claim import Claim
from zoo.study.cells.cell_status import estimate_seconds_left, get_cell_status
from zoo.study.cells.known_cells import KnownCells
from zoo.study.cells.overview import print_statuses
from zoo.study.dashboard import Dashboard, show_dashboard
from zoo.study.plan.cell import Cell, Setting
from zoo.system import tables
from zoo.training.run import run_folder


def drawn(board: Dashboard, height: int = 40) -> list[str]:
    out = io.StringIO()
    console = tables.Terminal(out, width=100)
    console.height = height
    console.print(board)
    return [line.strip(" ━╸╺") for line in out.getvalue().splitlines()]


def begin_training(cell: Cell, csv: str = "") -> Claim:
    claim = Claim(run_folder(cell.checked).path)
    assert claim.take() is None
    if csv:
        (run_folder(cell.checked).path / "metrics.csv").write_text(csv)
    return claim


def test_the_board_shows_what_runs_and_what_failed(cells: list[Cell]) -> None:  # noqa: F811
    board = Dashboard(parallel_runs=2)
    board.known = KnownCells(tuple(cells), more=3)
    assert drawn(board)[-1] == "0 of 4 runs done; up to 3 more will follow"
    finish(cells[0], seconds=100)
    fail(cells[1])
    claim = begin_training(cells[2], "step,tokens,seconds,train/loss,validation/loss\n1,5,1,2.5,\n1,5,1,,2.25\n")
    lines = drawn(board)
    assert re.fullmatch(r"numbers one seed 1\s+1/2\s+2\.25\s+\d+\ss ago", lines[1].strip())
    assert lines[2] == "failed: numbers two seed 2: RuntimeError: out of luck"
    left = "about 1\N{NO-BREAK SPACE}min 40\N{NO-BREAK SPACE}s left; up to 3 more will follow"
    assert lines[-1] == f"1 of 4 runs done, {left}"  # 50 s and 100 s, two abreast
    assert sum("seed" in line for line in lines) == 2
    with claim:
        finish(cells[2], seconds=100)
    assert drawn(board)[-1] == f"2 of 4 runs done, {left}"


def test_the_board_fits_the_terminal(cells: list[Cell]) -> None:  # noqa: F811
    setting = Setting("two", "numbers", cells[0].overrides, cells[0].checked)
    many = [setting.build_cell(seed) for seed in range(30)]
    board = Dashboard()
    board.known = KnownCells(tuple(many))
    for cell in many[:10]:
        fail(cell)
    for cell in many[10:]:
        begin_training(cell)
    lines = drawn(board, height=20)
    assert len(lines) <= 20
    assert lines.count("and 11 more running") == 1
    assert lines.count("and 5 more failed") == 1


def test_time_is_told_by_the_pace_before_any_run_is_done(cells: list[Cell]) -> None:  # noqa: F811
    begin_training(cells[0], "step,tokens,seconds,train/loss\n1,5,30,2.5\n")
    found = [get_cell_status(cell) for cell in cells]
    assert estimate_seconds_left(found) == pytest.approx(30 + 3 * 60)
    assert estimate_seconds_left(found, parallel_runs=3) == pytest.approx((30 + 3 * 60) / 3)
    assert estimate_seconds_left(found, parallel_runs=8) == pytest.approx(60)  # no sooner than the longest


def test_runs_that_choose_a_learning_rate_are_told_apart(cells: list[Cell]) -> None:  # noqa: F811
    setting = Setting("two", "numbers", cells[0].overrides, cells[0].checked)
    tuning = [setting.build_cell(101, rate, tuning=True) for rate in (0.1, 0.2)]
    out = io.StringIO()
    print_statuses([get_cell_status(cell) for cell in (*tuning, cells[0])], 5, tables.Terminal(out, width=120))
    rows = [re.split(r"  +", line.strip()) for line in out.getvalue().splitlines()]
    assert ["numbers", "two (learning rates)", "2"] in rows
    assert ["numbers", "two", "1"] in rows
    assert "0 of 3 runs done; up to 5 more will follow" in out.getvalue()


@pytest.mark.parametrize("color", ["", "1"])
def test_where_there_is_no_terminal_nothing_is_turned_aside(
    color: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", color)  # as Jupyter sets it
    with show_dashboard(Dashboard(), tmp_path / "log") as tell:
        os.write(1, b"of a run\n")
        tell("of the study")
    assert capfd.readouterr() == ("of a run\n", "of the study\n")
    assert not (tmp_path / "log").exists()


class Terminal:
    """A pseudo-terminal, and all that was written to it."""

    def __init__(self) -> None:
        self.ours, theirs = os.openpty()
        self.path, self._theirs = os.ttyname(theirs), theirs
        self._read = b""
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while read := os.read(self.ours, 4096):
            self._read += read
            if b"\0" in read:
                return

    def text(self) -> str:
        """Without the codes that move the cursor and set colours."""
        os.write(self._theirs, b"\0")
        self._thread.join(10)
        text = self._read.decode().partition("\0")[0]
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r\n", "\n")


def test_in_a_terminal_there_is_a_live_table_and_what_runs_print_is_kept_apart(begin: Begin, tmp_path: Path) -> None:
    path = tmp_path / "heads" / "study.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump({**STUDY, "arms": {"two": {}, "broken": {"trainer.accelerator": "tpuu"}}}))
    terminal = Terminal()
    process: Process = begin(tmp_path, "--retries", "1", out=Path(terminal.path))
    process.wait()
    shown, log = terminal.text(), (tmp_path / "runs" / "reports" / "heads" / "study.log").read_text()
    assert "output of the runs: runs/reports/heads/study.log" in shown
    assert "1 of 2 runs done" in shown
    assert "no result: numbers broken seed 1: Refused: trainer: lightning.Trainer refuses its arguments" in shown
    assert "report: " in shown
    assert shown.splitlines()[-1] == "1"
    (line,) = (line for line in log.splitlines() if " numbers two seed 1  loss " in line)
    assert line not in shown

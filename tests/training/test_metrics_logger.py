"""metrics.csv: sparse, whole after a kill, and without lines that are made again."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl

from zoo.training.metrics_logger import MetricsFile


def read(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))


def test_every_line_is_there_at_once_and_new_metrics_widen_the_table(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path, 0)
    file.log_metrics({"step": 1.0, "loss": 0.5, "epoch": 0.0})
    assert read(tmp_path) == [{"step": "1", "tokens": "", "seconds": "", "loss": "0.5"}]
    file.log_metrics({"step": 2.0, "validation/loss": 0.25})
    file.log_metrics({"loss": 0.125}, step=3)
    assert [line["loss"] for line in read(tmp_path)] == ["0.5", "", "0.125"]
    assert [line["validation/loss"] for line in read(tmp_path)] == ["", "0.25", ""]
    assert pl.read_csv(tmp_path / "metrics.csv")["step"].to_list() == [1, 2, 3]


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("step,loss\n1,0.5\n2,0.4\n3,0.")
    file = MetricsFile(tmp_path, 10)
    file.log_metrics({"step": 4.0, "loss": 0.25})
    assert [(line["step"], line["loss"]) for line in read(tmp_path)] == [("1", "0.5"), ("2", "0.4"), ("4", "0.25")]


def test_lines_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    first = MetricsFile(tmp_path, 0)
    for step in range(1, 8):
        first.log_metrics({"step": float(step), "loss": 1 / step})
    MetricsFile(tmp_path, 5).log_metrics({"step": 6.0, "loss": 0.0})
    assert [line["step"] for line in read(tmp_path)] == ["1", "2", "3", "4", "5", "6"]
    assert read(tmp_path)[-1]["loss"] == "0"


def test_an_empty_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("")
    MetricsFile(tmp_path, 5).log_metrics({"step": 1.0})
    assert len(read(tmp_path)) == 1

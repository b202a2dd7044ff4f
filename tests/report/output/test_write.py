"""A report that is there already is not written again, unless anything that it shows has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.conftest import MakeStudy
from zoo.report import write_report
from zoo.report.output import write


def test_a_report_is_written_again_only_for_another_content(
    make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, runs = make_study({"a": 0.5, "b": 0.4}, baseline="a")
    written: list[Path] = []
    write_files = write.write_files
    monkeypatch.setattr(write, "_render_markdown", lambda *given: iter([("report.md", "text")]))
    monkeypatch.setattr(
        write, "write_files", lambda folder, *a, **k: written.append(folder) or write_files(folder, *a, **k)
    )

    def count(changed: object = study, of: object = runs, folder: Path = tmp_path / "report") -> int:
        before = len(written)
        page = write_report(changed, of, folder, renumber=True)  # type: ignore[arg-type]
        assert page.is_file()
        return len(written) - before

    assert (count(), count()) == (1, 0)
    assert (count(replace(study, question="Why?")), count(replace(study, question="Why?"))) == (1, 0)
    assert runs[0].result is not None
    result = replace(runs[0].result, seconds=1.0)
    assert count(of=[replace(runs[0], result=result), *runs[1:]]) == 1
    assert (count(), count()) == (1, 0)
    curves = runs[0].curves.with_columns(runs[0].curves.to_series(0) + 1)
    assert (count(of=[replace(runs[0], curves=curves), *runs[1:]]), count()) == (1, 1)
    (tmp_path / "report" / "runs.csv").unlink()
    assert (count(), count()) == (1, 0)
    monkeypatch.setattr(write, "compute_installation_digest", lambda: "newer")
    assert (count(), count()) == (1, 0)


def test_a_file_that_somebody_changed_moves_the_report_which_is_found_there(
    make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, runs = make_study({"a": 0.5, "b": 0.4}, baseline="a")
    monkeypatch.setattr(write, "_render_markdown", lambda *given: iter([("report.md", "text")]))
    write_report(study, runs, tmp_path / "report", renumber=True)
    (tmp_path / "report" / "report.md").write_text("mine")
    second = write_report(study, runs, tmp_path / "report", renumber=True)
    assert second.parent == tmp_path / "report-2"
    before = second.stat().st_mtime_ns
    assert write_report(study, runs, tmp_path / "report", renumber=True) == second
    assert second.stat().st_mtime_ns == before
    assert (tmp_path / "report" / "report.md").read_text() == "mine"

"""Files of a run that are not what they should be are named; the run is set aside and trained again, others go on."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.config.checking import CheckedConfig
from zoo.report import read_run
from zoo.runs.claim import Claim, find_holder
from zoo.runs.metrics_file import read_metrics
from zoo.runs.run_folder import RunFolder
from zoo.runs.run_result import RunResult
from zoo.study.cells.cell_status import get_cell_status
from zoo.study.plan.cell import Cell
from zoo.system.files import Damaged
from zoo.training.run import find_status, train

Trained = Callable[[CheckedConfig], tuple[Path, RunResult]]
READERS = {"started.json": "read_start", "result.json": "read_result", "failed.json": "read_failure"}


def put(path: Path, content: bytes | None) -> None:
    """Content in place of a file; None is a folder."""
    if content is None:
        path.unlink(missing_ok=True)
        path.mkdir()
    else:
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("result.json", b"", "must be JSON"),
        ("result.json", b"[]", "must be a mapping: got '[]'"),
        ("result.json", b"{}", "metrics is missing"),
        ("result.json", b"\xff", "must be UTF-8"),
        ("result.json", b"[" * 100_000, "must be JSON"),
        ("result.json", None, "must be a regular file: got a folder"),
        ("result.json", b'{"metrics": null}', "metrics must be a mapping: got 'None'"),
        ("result.json", b'{"metrics": {"loss": "low"}}', "metrics.loss must be a number or null: got 'low'"),
        ("result.json", b'{"metrics": {}, "diverged": 1}', "diverged must be true or false: got '1'"),
        ("result.json", b'{"metrics": {}, "steps": true}', "steps must be an integer or null: got 'True'"),
        ("result.json", b'{"metrics": {}, "samples": [{"source": 1}]}', "samples.0.source must be text: got '1'"),
        ("started.json", b'{"fingerprints": {"code": 1}}', "fingerprints.code must be text: got '1'"),
        ("failed.json", b"{}", "error is missing"),
    ],
)
def test_what_a_record_cannot_hold_is_said_with_file_key_and_value(
    name: str, content: bytes | None, why: str, tmp_path: Path
) -> None:
    read = getattr(RunFolder(tmp_path), READERS[name])
    assert read() is None
    put(tmp_path / name, content)
    with pytest.raises(Damaged) as caught:
        read()
    assert str(caught.value).startswith(f"{tmp_path / name}: {why}")
    assert len(str(caught.value)) < 300
    assert isinstance(RunFolder(tmp_path).find_damage(), Damaged)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"step,a\n1,x\n", "line 2 must have a step, and numbers only: got ['1', 'x']"),
        (b"\xff\n", "must be UTF-8"),
        (None, "must be"),
    ],
)
def test_a_damaged_table_of_metrics_is_said(content: bytes | None, why: str, tmp_path: Path) -> None:
    put(tmp_path / "metrics.csv", content)
    with pytest.raises(Damaged, match=f"^{tmp_path}/metrics.csv: ") as caught:
        read_metrics(tmp_path / "metrics.csv")
    assert why in str(caught.value)


def test_a_damaged_run_is_set_aside_and_trained_again(
    documents: Callable[..., CheckedConfig], trained: Trained, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever looks says the file; whoever trains moves the run, and nothing of it is lost."""
    config = documents("steps=1")
    path, result = trained(config)
    shutil.copytree(path, path.parent / "sound")
    cell = Cell("a", "t", 0, (), config)
    for number, (name, content, finished) in enumerate(
        [
            ("result.json", b'{"metrics": {"loss": []}}', True),
            ("result.json", None, True),
            ("started.json", b"[]", True),
            ("failed.json", b"\xff", False),
            ("started.json", b"", False),
            ("metrics.csv", b"step,train/loss\nnone,1\n", False),
            ("config.yaml", None, False),
        ]
    ):
        if not finished:
            (path / "result.json").unlink()
        put(path / name, content)
        if name.endswith(".json") and not (finished and name == "started.json"):
            assert find_status(config) == "damaged"
            seen = get_cell_status(cell)
            assert (seen.state, str(path / name) in seen.error) == ("failed", True)
            assert name == "started.json" or str(path / name) in read_run(path, "a", "t", 0).notes[-1]
        else:
            get_cell_status(cell)
        again = train(config)
        assert again.metrics["loss"] == result.metrics["loss"]
        aside = path.parent / "stale" / f"{path.name}-damaged-{number}"
        assert f"{path / name}: " in caplog.text
        assert f"set aside as {aside}" in caplog.text
        assert (aside / name).is_dir() if content is None else (aside / name).read_bytes() == content
        caplog.clear()
        assert sorted(os.listdir(path)) == sorted(os.listdir(path.parent / "sound"))
    assert RunResult.read(path) == again


def test_what_is_no_claim_does_not_hold_a_run(tmp_path: Path) -> None:
    """A file in its place, a folder with other things in it, and a heartbeat from the future."""
    (tmp_path / "claim").touch()
    assert find_holder(tmp_path) is None
    claim = Claim(tmp_path)
    assert claim.take() is None
    with claim:
        pass
    (tmp_path / "claim" / "notes").mkdir(parents=True)
    (tmp_path / "claim" / "a~b~c~d~e").touch()
    assert Claim(tmp_path).take() is None
    assert sorted(path.name for path in tmp_path.glob("claim*")) == ["claim", "claim.damaged-0", "claim.damaged-1"]
    shutil.rmtree(tmp_path / "claim")
    (tmp_path / "claim").mkdir()
    far = tmp_path / "claim" / "0~cafecafecafe~77~1~far-away"
    far.touch()
    other = find_holder(tmp_path)
    assert other is not None
    assert other.live
    os.utime(far, (time.time() + 10**8,) * 2)
    assert Claim(tmp_path).take() is None

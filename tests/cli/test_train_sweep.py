"""Sweeps: all runs are known and checked before the first one is trained, and errors come back as our lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import TINY, zoo
from zoo.checks import Refused
from zoo.cli.train_sweep import describe_differences, expand_sweep


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_sweep_is_the_product_of_its_values() -> None:
    runs = expand_sweep(["model=gpt", "seed=1,2", "~clip", "model/norm=layer,rms", "label=a", "label=b"])
    pairs = [(seed, norm) for seed in (1, 2) for norm in ("layer", "rms")]
    expected = [["model=gpt", f"seed={seed}", "~clip", f"model/norm={norm}", "label=b"] for seed, norm in pairs]
    assert runs == expected
    assert describe_differences(runs)[1] == "seed=1 model/norm=rms"
    assert [run[0] for run in expand_sweep(["model/norm=glob(*s)"])] == ["model/norm=rms"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["seed=1,2", "model.dim=abc,32"], ["model.dim=abc seed=1 and 1 more: model.dim: must be an int: got 'abc'"]),
        (["clip=layer", "seed=1,2"], ["clip: must be a float: got 'layer'"]),
        (["~model.head.activation=null,1"], ["Could not delete from config. 'model.head.activation' does not exist."]),
        (["seed=range(0)"], ["seed: must have at least one value in a sweep: got seed=range(0)"]),
        (["seed=range(1,10**9)"], ["seed=range(1,10**9): cannot be read as key=value"]),
        (["seed=range(1,1000)", "steps=range(1,1000)"], ["-m: must be at most 2000 runs: got 998001"]),
        (
            ["seed=interval(0,1)"],
            ["seed: must be a list of values in a sweep, as a=1,2 or range(1,3): got seed"],
        ),
        (["model/norm=glob(*x*)"], ["model/norm: nothing matches: got model/norm=glob(*x*)"]),
        (["hydra.sweeper.max_batch_size=0"], ["hydra.sweeper.max_batch_size: must be positive: got 0"]),
    ],
    ids=lambda value: " ".join(value) if "=" in value[-1] else "",
)
def test_a_mistake_in_a_sweep_is_told_before_anything_is_trained(
    words: list[str], told: list[str], tmp_path: Path
) -> None:
    code, out, err = zoo("train", "-m", *TINY, *words)
    assert (code, out) == (2, ""), err
    lines = err.splitlines()
    assert len(lines) == len(told)
    for line, start in zip(lines, told, strict=True):
        assert line.startswith(f"zoo: {start}")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_is_a_line_and_the_others_are_trained(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Once upon a time. " * 200)
    (tmp_path / "runs").mkdir()
    words = [word for word in TINY if not word.startswith(("data=", "data.limit="))]
    data = ["data=text", "data.path=mine.txt,empty.txt", "steps=1"]
    (tmp_path / "empty.txt").write_text("  ")
    code, _, err = zoo("train", "-m", *words, *data)
    assert (code, err) == (2, "zoo: data text: empty.txt is empty: got 2 bytes without text\n")
    assert len(list(tmp_path.glob("runs/*/result.json"))) == 1
    assert not (tmp_path / "multirun.yaml").exists()
    with pytest.raises(Refused, match="is empty"):
        zoo("train", "-m", *words, *data, "--debug")

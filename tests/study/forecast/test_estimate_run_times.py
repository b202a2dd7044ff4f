"""The probe: what it says a run takes is what the run takes, and nothing of it stays."""

from __future__ import annotations

import functools
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.command import TINY, checked
from zoo.config.checking import CheckedConfig, check_run
from zoo.study.forecast import estimate_run_times as module
from zoo.study.forecast.estimate_run_times import estimate_run_times
from zoo.study.plan.cell import Setting
from zoo.training.job import Job
from zoo.training.progress import ProgressLines
from zoo.training.run import train


@functools.cache
def composed() -> Setting:
    lines = (*TINY, "model.position.length=256", "steps=40", "evaluate=20")
    return Setting("arm", "numbers", lines, checked(*lines))


def setting(arm: str = "arm", **changes: Any) -> Setting:
    """The tiny run with other values in its sections, or other values of its own."""
    config = composed().checked.config.as_mapping()
    for key, value in changes.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    return replace(composed(), arm=arm, checked=check_run(config))


def test_the_estimate_is_what_a_run_takes_and_nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    estimate_run_times([setting()])  # the first use of anything takes longer
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ratios = []
    for attempt in range(3):  # others work on this machine too
        torch.manual_seed(attempt)
        state, threads = torch.get_rng_state(), torch.get_num_threads()
        told = estimate_run_times([setting(seed=attempt)])["arm", "numbers"]
        assert told.error == ""
        assert told.seconds is not None
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_num_threads() == threads
        assert list(tmp_path.iterdir()) == []
        begun = time.perf_counter()
        train(setting(seed=attempt, runs=str(tmp_path / "elsewhere" / str(attempt))).checked)
        ratios.append(told.seconds / (time.perf_counter() - begun))
        (tmp_path / "elsewhere").rename(tmp_path.parent / f"{tmp_path.name}-{attempt}")
        if 0.5 < ratios[-1] < 2:
            return
    raise AssertionError(ratios)


def test_what_costs_the_same_is_measured_once() -> None:
    names: list[str] = []
    found = estimate_run_times(
        [
            setting("one"),
            setting("other rate", optimizer={"lr": 0.1}, seed=3, schedule={"steps": 7}),
            setting("twice", steps=80, evaluate=40),
            setting("thrice", steps=120, evaluate=60),
            setting("wide", model={"hidden": 64}),
        ],
        names.append,
    )
    assert names == ["numbers one (1 of 5)", "numbers wide (5 of 5)"]
    seconds = {arm: told.seconds or 0.0 for (arm, _), told in found.items()}
    assert seconds["one"] == seconds["other rate"] > 0
    assert seconds["thrice"] - seconds["twice"] == pytest.approx(seconds["twice"] - seconds["one"])
    assert seconds["twice"] > seconds["one"]


def test_what_the_first_steps_die_of_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ProgressLines.__init__, "__defaults__", (0.0,))  # seconds between lines
    found = estimate_run_times([setting("narrow", model={"vocabulary": 10}), setting("fine")])
    told = found["narrow", "numbers"]
    assert told.seconds is None
    assert told.error.startswith("model.vocabulary must be at least that of the data: got 10, the data has ")
    assert found["fine", "numbers"].error == ""
    assert capsys.readouterr() == ("", "")  # no progress of the few steps


def test_it_runs_as_the_study_would_but_briefly_and_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def stop(job: Job, claim: object) -> None:
        seen.update(config=job.config, used=torch.get_num_threads())
        raise RuntimeError("out of memory\nin detail")

    monkeypatch.setattr(module, "fit", stop)
    before = torch.get_num_threads()
    two = setting(threads=before + 1, trainer={"devices": 2, "strategy": "ddp"}, accumulate=3)
    found = estimate_run_times([two])
    assert found["arm", "numbers"].error == "RuntimeError: out of memory"
    assert seen["used"] == before + 1
    assert torch.get_num_threads() == before
    config, arguments = seen["config"], seen["config"].trainer.arguments
    assert (arguments["devices"], arguments["strategy"], config.accumulate) == (1, "auto", 3)
    assert config.steps <= 10 < two.checked.config.steps


def test_of_many_kinds_those_with_every_option_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(checked: CheckedConfig) -> Any:
        return module._Speed(0.0, 1e-9 * module._find_kind(checked).flops, 0.0)

    monkeypatch.setattr(module, "_measure_speed", measure)
    monkeypatch.setattr(module, "_TOTAL_SECONDS", 0.0)
    arms = [
        setting(f"{norm} {hidden}", model={"hidden": hidden, "norm": {"name": norm}})
        for norm in ("rms", "layer", "l2", "scale")
        for hidden in (16, 24, 32, 40)
    ]
    names: list[str] = []
    found = estimate_run_times(arms, names.append)
    measured = {arm for (arm, _), each in found.items() if each.is_measured}
    assert len(measured) == len(names) == module._LEAST_KINDS < len(arms)
    assert {name.split()[1] for name in names[:4]} == {"rms", "layer", "l2", "scale"}
    assert {name.split()[2] for name in names[:4]} == {"16", "24", "32", "40"}
    for each in arms:
        seconds = 1e-9 * module._find_kind(each.checked).flops * each.checked.config.steps
        assert found[each.arm, each.task].seconds == pytest.approx(seconds, rel=1e-4)
    assert len({each.seconds for each in found.values()}) >= 4
    monkeypatch.setattr(module, "_TOTAL_SECONDS", 60.0)
    assert all(each.is_measured for each in estimate_run_times(arms).values())


def test_nothing_is_predicted_where_every_measurement_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_measure_speed", lambda checked: "out of memory")
    monkeypatch.setattr(module, "_TOTAL_SECONDS", 0.0)
    monkeypatch.setattr(module, "_LEAST_KINDS", 1)
    one, other = estimate_run_times([setting("one"), setting("other", model={"hidden": 64})]).values()
    assert (one.seconds, one.error, one.is_measured) == (None, "out of memory", True)
    assert (other.seconds, other.error, other.is_measured) == (None, "", False)

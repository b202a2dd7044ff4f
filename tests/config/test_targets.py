"""Targets: files that strangers wrote run nothing when they are looked at, and each section takes what it expects."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.command import TINY, refusal, zoo
from zoo.config.targets import find_foreign_targets, find_target_problems, find_targets, find_value_problems
from zoo.runs.config_sections import Target

SECTIONS = ("optimizer", "schedule", "trainer", "logger.a", "callbacks.a")
CANARY = """
from collections.abc import Callable
from pathlib import Path
import torch
from lightning.pytorch.callbacks import Callback

def sing(*given: object, **more: object) -> Callable[[int], float]:
    Path(__file__).with_name("sung").touch()
    return lambda step: 1.0

class Own(torch.optim.SGD):
    def __init__(self, params, lr: float) -> None:
        sing()
        super().__init__(params, lr=lr)

class Quiet(Callback):
    pass

sing()
"""


@pytest.fixture
def sung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], bool]]:
    """Whether a module of strangers was imported, or what it defines was called, since this was last asked."""
    (tmp_path / "canary.py").write_text(CANARY)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def ask() -> bool:
        file = tmp_path / "sung"
        found = file.exists()
        file.unlink(missing_ok=True)
        return found

    yield ask
    sys.modules.pop("canary", None)


def write_study(folder: Path, overrides: dict[str, Any]) -> str:
    folder.mkdir(exist_ok=True)
    common = {key: yaml.safe_load(value) for key, value in (line.split("=") for line in TINY)}
    study = {
        "question": "Which?",
        "seeds": [1],
        "overrides": {**common, "model": "gpt/tiny"},
        "arms": {"one": {}, "two": {"model/norm": "rms", **overrides}},
        "tasks": {"spelling": {"metrics": ["loss"]}},
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return str(folder)


def looks(study: str) -> list[list[str]]:
    flags = [["--status"], ["--status", "--json"], ["--dry-run"], ["--dry-run", "--json"], []]
    return [*(["study", study, *each] for each in flags), ["report", study]]


@pytest.mark.parametrize("section", SECTIONS)
def test_a_study_file_names_no_code_of_strangers(section: str, tmp_path: Path, sung: Callable[[], bool]) -> None:
    """By the name of a module beside it, or of what every Python has; whole, dotted, or smuggled in a key."""
    nested: Any = {"_target_": "os.system", "command": f"touch {tmp_path / 'sung'}"}
    for key in reversed(section.split(".")):
        nested = {key: nested}
    for given in (
        nested,
        {f"++{section}._target_": "canary.sing"},
        {section.split(".")[0]: {"a:1,_target_": "canary.sing"}},
    ):
        code, _, err = zoo("study", write_study(tmp_path / "theirs", given), "--status")
        assert code == 2
        assert f"{section.split('.')[0]}" in err
        assert "Traceback" not in err
        assert not sung()
    code, _, err = zoo("study", write_study(tmp_path / "theirs", {f"++{section}._target_": "canary.sing"}), "--status")
    (line,) = err.splitlines()
    assert line.startswith(f"zoo: spelling two: {section}._target_: a study file may name only public classes and")
    assert line.endswith("unless --allow-target canary is given: got canary.sing")


def test_no_command_runs_what_a_study_file_names(tmp_path: Path, sung: Callable[[], bool]) -> None:
    given = {f"++{section}._target_": "canary.sing" for section in SECTIONS}
    study = write_study(tmp_path / "theirs", given)
    for command in looks(study):
        code, out, err = zoo(*command)
        assert code == 2, (command, out)
        assert [line.split(": ")[2] for line in err.splitlines()] == [f"{section}._target_" for section in SECTIONS]
        assert not sung(), command
    assert [file.name for file in tmp_path.iterdir()] == ["canary.py", "theirs"] or not (tmp_path / "runs").exists()


def test_code_that_the_command_allows_is_run_by_runs_alone(tmp_path: Path, sung: Callable[[], bool]) -> None:
    study = write_study(tmp_path / "mine", {"optimizer._target_": "canary.Own"})
    gone = ["~optimizer.betas", "~optimizer.eps", "~optimizer.weight_decay", "~optimizer.fused"]
    assert "--allow-target canary is given: got canary.Own" in zoo("study", study, "--status").err
    assert not sung()
    for named in (["--allow-target", "canary"], ["--allow-target=canary.Own"], ["optimizer._target_=canary.Own"]):
        code, out, err = zoo("study", study, *gone, *named, "--status")
        assert code == 0, err
        assert "0 of 2 runs done" in out
    assert sung(), "imported, for its signature"
    sys.modules["canary"].__dict__["sing"] = lambda: pytest.fail("called by looking")
    assert zoo("study", study, *gone, "--allow-target=canary", "--status").code == 0


def test_folders_of_others_run_nothing(tmp_path: Path, sung: Callable[[], bool]) -> None:
    """A run's config.yaml, a checkpoint's config.json, and a folder of configs."""
    run, checkpoint, configs = tmp_path / "run", tmp_path / "checkpoint", tmp_path / "configs"
    for folder in (run, checkpoint, configs):
        folder.mkdir()
    canary = {"_target_": "canary.sing", "_partial_": False}
    sections = {section.split(".")[0]: {"a": canary, **canary} for section in SECTIONS}
    config = {**sections, "model": {"name": canary, "attention": canary, **canary}, "data": canary, "seed": canary}
    (run / "config.yaml").write_text(yaml.safe_dump(config) + "x: !!python/object/apply:canary.sing []\n")
    (run / "result.json").write_text(json.dumps({"metrics": {"loss": 1.0}, **canary}))
    (checkpoint / "config.json").write_text(json.dumps({"model_type": "llama", "auto_map": canary, **config}))
    (configs / "theirs.yaml").write_text(yaml.safe_dump(sections))
    for tag in (True, False):
        commands = [["report", str(run)], ["generate", str(run), "a"], ["export", str(run), "out"]]
        for command in [
            *commands,
            ["show", "model=hub", f"model.path={checkpoint}"],
            ["generate", str(checkpoint), "a"],
        ]:
            zoo(*command)
            assert not sung(), command
        (run / "config.yaml").write_text(yaml.safe_dump(config)) if tag else None
    assert zoo("train", "--config-dir", str(configs), "-cn", "theirs", "--cfg", "job").code == 0
    assert not sung()


def test_a_study_file_reads_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    for value in ("${oc.env:SECRET}", "${oc.decode:${oc.env:SECRET}}", "a ${oc.env:SECRET,none} b"):
        code, out, err = zoo("study", write_study(tmp_path / "theirs", {"label": value}), "--status")
        assert code == 2
        assert "nothing outside the config: got ${oc" in err
        assert "hunter2" not in out + err
    for key in ("hydra", "++hydra.launcher._target_", " hydra/launcher", "optimizer@hydra.callbacks"):
        _, _, err = zoo("study", write_study(tmp_path / "theirs", {key: "joblib"}), "--status")
        assert "applies to the whole study" in err, key
    study = write_study(tmp_path / "theirs", {"label": "of ${steps}"})
    assert zoo("study", study, "--status").code == 0


@pytest.mark.parametrize(
    ("section", "target"),
    [
        ("optimizer", "torch.hub.load"),
        ("optimizer", "torch.nn.Linear"),
        ("optimizer", "torch.optim.lr_scheduler.LambdaLR"),
        ("schedule", "torch.hub.load"),
        ("schedule", "torch.optim.AdamW"),
        ("schedule", "torch.compile"),
        ("trainer", "lightning.pytorch.callbacks.Timer"),
        ("logger.a", "lightning.Trainer"),
        ("callbacks.a", "torch.utils.cpp_extension.load"),
        ("callbacks.a", "zoo.training.schedule.cosine"),
        ("callbacks.a", "torch.__version__"),
    ],
)
def test_a_target_is_what_its_section_expects(section: str, target: str) -> None:
    (problem,) = find_target_problems(section, {"_target_": target})
    assert problem.startswith(f"{section}._target_: must be a ")
    assert problem.endswith(f": got {target}")
    assert not find_foreign_targets({section: {"_target_": target}}, ()) or "__" in target


def make_sgd(params: Any, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(params, lr=lr)


class Halving:
    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, step: int) -> float:
        return 0.5 if 2 * step > self.steps else 1.0


def test_own_functions_and_classes_are_taken_by_their_annotations() -> None:
    assert not find_target_problems("optimizer", {"_target_": f"{__name__}.make_sgd", "lr": 0.1})
    assert not find_target_problems("schedule", {"_target_": f"{__name__}.Halving", "steps": 3})
    (problem,) = find_target_problems("optimizer", {"_target_": f"{__name__}.make_sgd"})
    assert problem.endswith("make_sgd refuses its arguments: missing a required argument: 'lr'")
    wrong = {"_target_": f"{__name__}.make_sgd", "lr": -1}
    assert not find_value_problems("optimizer", Target.from_mapping(wrong)), "it is not called before its run begins"
    (problem,) = find_value_problems("optimizer", Target.from_mapping(wrong), training=True)
    assert problem.endswith("make_sgd refuses its arguments: Invalid learning rate: -1")


def test_targets_are_not_nested() -> None:
    """Nothing but zoo makes them, which would hand over a mapping as it is written."""
    nested = ["+callbacks.a={_target_: lightning.pytorch.callbacks.Timer, duration: {_target_: canary.sing}}"]
    (line,) = refusal([*TINY, *nested])
    assert line.startswith("callbacks.a.duration._target_: is not taken here")
    (line,) = refusal([*TINY, "+optimizer._partial_=true"])
    assert line.startswith("optimizer._partial_: is not taken here")
    given = {"a": [{"b": {"_target_": 1}}], "c._target_": 2, "d": {"e._target_": 3}}
    assert list(find_targets(given)) == [("a[0].b._target_", 1), ("c._target_", 2), ("d.e._target_", 3)]


def test_plug_ins_are_taken_and_what_is_private_is_not() -> None:
    def named(target: str, *allowed: str) -> list[str]:
        return find_foreign_targets({"optimizer": {"_target_": target}}, allowed)

    assert not named("torch.optim.SGD")
    assert named("torch_evil.SGD")
    assert named("torch._inductor.codecache.load")
    assert named("zoo.__main__.main")
    assert named("mine.a.B", "mine.ab")
    assert not named("mine._a.B", "mine")

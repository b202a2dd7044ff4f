"""The command: what it prints, what it refuses and how, and that Hydra's own features still work."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.command import ON_CPU, SMALL, TINY, without_times, zoo
from zoo.cli.main import COMMANDS
from zoo.model.schema import SLOTS
from zoo.registry import get_index
from zoo.system.installation import find_package_folder

SLOT_OF = {
    "data": ["data"],
    "objective": ["objective"],
    "tokenizer": ["data/tokenizer"],
    **{slot: [f"model/{slot}", f"model/encoder/{slot}", f"model/decoder/{slot}"] for slot in SLOTS},
}
SLOT_OF["attention"].append("model/cross")

MISTAKES = {
    "unknown component": (
        ["model/attention=groupd_query"],
        ["model/attention", "'groupd_query'", "did you mean grouped_query?", "multi_head, native_sparse, none"],
    ),
    "option that does not fit": (
        ["model/attention=grouped_query", "model.attention.kv_heads=3", "model.heads=4"],
        ["model.attention.kv_heads", "kv_heads must divide heads", "kv_heads=3, heads=4"],
    ),
    "unknown option": (
        ["model/attention=grouped_query", "model.attention.kvheads=2"],
        ["model.attention.kvheads", "did you mean kv_heads?", "choices: bias, kv_heads, output_gate, qk_norm, scores"],
    ),
    "type": (["model.dim=abc"], ["model.dim: must be an int: got 'abc'"]),
    "unknown key": (["stps=5"], ["stps: unknown key", "did you mean steps?", "seed, steps"]),
    "unknown key by force": (["+foo=1"], ["foo: unknown key", "choices: accumulate, batch"]),
    "unknown group": (["modle/attention=none"], ["modle/attention", "unknown config group", "did you mean model/att"]),
    "override that cannot be read": (["bad override"], ["bad override: cannot be read as key=value"]),
    "unknown preset": (["model=gpx"], ["model: unknown choice 'gpx'", "did you mean gpt?", "llama/small"]),
    "no part": (["model.attention=grouped_query"], ["model.attention: must be a mapping with a name"]),
    "no data file": (["data=text", "~data.limit", "data.path=/no/such"], ["data text: path", "got path=/no/such"]),
    "positions": (["model.position.length=32"], ["model.position: learned has 32 positions", "data.length=64"]),
    "objective for pairs": (["objective=span_corruption"], ["span_corruption makes no sense", "it needs documents"]),
    "objective for a decoder": (
        ["objective=masked_lm"],
        ["masked_lm makes no sense for decoder with pairs", "bidirectional"],
    ),
    "pair that means nothing": (
        ["model/attention=none", "model/position=rotary", "~model.position.length"],
        ["model.position: rotary would change nothing", "attention none does not apply"],
    ),
    "optimiser": (["optimizer.learning=1"], ["optimizer.learning: torch.optim.AdamW has no such argument", "lr, max"]),
    "optimiser's value": (["optimizer.lr=-1"], ["optimizer.lr: must not be negative: got -1"]),
    "no optimiser": (["optimizer._target_=torch.optim.Adamm"], ["optimizer._target_: torch.optim.Adamm", "Adamm"]),
    "trainer": (["trainer.devicez=1"], ["trainer.devicez: lightning.Trainer", "did you mean devices?"]),
    "set by the run": (["trainer.max_steps=1"], ["trainer.max_steps: is set by the run itself"]),
    "parameters set by the run": (["optimizer.params=1"], ["optimizer.params: is set by the run itself"]),
    "schedule": (
        ["schedule.warmup=2"],
        ["schedule: zoo.training.schedule.cosine", "between 0.0 and 1.0", "=2"],
    ),
    "precision": (["precision=8"], ["precision: unknown choice 8", "bf16-mixed, bf16-true"]),
    "half precision on a CPU": (["precision=16-mixed"], ["precision: 16-mixed needs a GPU", "fused=false"]),
    "not positive": (["steps=0"], ["steps: must be positive: got 0"]),
    "negative clip": (["clip=-1"], ["clip: must be positive: got -1"]),
    "no threads": (["threads=0"], ["threads: must be positive: got 0"]),
    "callback": (["+callbacks.stop._target_=zoo.nope"], ["callbacks.stop._target_: zoo.nope cannot be imported"]),
    "launcher": (["hydra/launcher=jobli"], ["hydra/launcher/jobli"]),
    "launcher that is no name": (
        ["hydra/launcher=1e-400"],
        ["hydra/launcher: must be a name", "got hydra/"],
    ),
    "flag": (["-steps=5"], ["unknown flag '-steps=5': choices: "]),
    "flag that begins as another": (["-model.dim=5"], ["unknown flag '-model.dim=5': choices: "]),
    "flag without its value": (["--cfg"], ["--cfg: must be given a value"]),
    "flag with another value": (["--cfg", "jobs"], ["--cfg: unknown choice 'jobs': did you mean job?"]),
    "number as variant": (["model.variant=-1"], ["model.variant: unknown choice -1"]),
    "list as component": (["model/cross=[1,2]"], ["model/cross: unknown choice '1'"]),
    "list as preset": (["model=[[[]]]"], ["model: unknown choice '[[]]'"]),
    "too many devices": (["trainer.devices=2147483647"], ["trainer.devices: must be at most 4096: got 2147483647"]),
    "too many layers": (["model.layers=1000000000000"], ["model.layers: must be at most 4096: got 1000000000000"]),
    "too long": (["model.position.length=1e30"], ["model.position.length: must be at most 16777216: got 1000"]),
    "a number that Python does not print": ([f"seed={'9' * 5000}"], ["cannot be read as key=value", "4300 digits"]),
    "nested without end": ([f"label={'{a:' * 400}1{'}' * 400}"], ["cannot be read as key=value", "nested too deeply"]),
    "a very long word": ([f"label={'x' * 20_000}"], ["an override must have at most 20000 characters: got 20006"]),
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_in_lines_and_leaves_nothing(mistake: str, tmp_path: Path) -> None:
    overrides, told = MISTAKES[mistake]
    code, out, err = zoo("train", *TINY, *overrides)
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    lines = err.splitlines()
    assert len(lines) <= 2
    assert all(line.startswith("zoo: ") for line in lines)
    for part in told:
        assert part in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("word", "told"),
    [
        (
            "trainer.accelerator=torch.optim.SGD",
            "trainer: lightning.Trainer refuses its arguments: You sel",
        ),
        ("trainer.devices=0x10", "trainer: lightning.Trainer refuses its arguments: "),
        ("model.embedding.token_types=2147483647", "model: its 68,7"),
    ],
)
def test_what_only_torch_or_lightning_can_tell_is_refused_before_a_folder_is_made(
    word: str, told: str, tmp_path: Path
) -> None:
    code, _, err = zoo("train", *TINY, word)
    assert code == 2
    assert err.startswith(f"zoo: {told}")
    assert len(err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_all_mistakes_are_told_at_once() -> None:
    wrong = ["model.dim=abc", "model.attention.kvheads=2", "foo=1", "data.limit=x", "steps=0", "optimizer.lrr=1"]
    _, _, err = zoo("train", *TINY, *wrong)
    for path in ("model.dim", "model.attention.kvheads", "foo", "data.limit", "optimizer.lrr"):
        assert sum(line.startswith(f"zoo: {path}: ") for line in err.splitlines()) == 1, err


def test_debug_shows_where(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "zoo", "--version"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0
    with pytest.raises(ValueError, match=r"unknown command 'lst'"):
        zoo("lst", "--debug")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["lst"],
            "unknown command 'lst': did you mean list? choices: check, completion, diff, export, generate, import, "
            "inspect, lecture, "
            "list, new, report, show, study, train",
        ),
        (["list", "atention"], "unknown kind 'atention': did you mean attention? choices: attention, data"),
        (["study", "three_variant"], "unknown study 'three_variant': did you mean three_variants?"),
        (["study", "three_variants", "stps=1"], "stps: unknown key: did you mean steps?"),
        (["show", "model=gpx"], "model: unknown choice 'gpx'"),
        (["report", "nope"], "unknown study 'nope'"),
        (
            ["report", "three_variants", "--otu", "x"],
            "unknown flag '--otu': did you mean --out? choices: --allow-target, --debug, --help",
        ),
        (["study", "three_variants", "--watch"], "--watch: goes with --status"),
        (["study", "seeds=3"], "give the name of a study, or one of arms={…}"),
        (["study", "three_variants", "seeds=0"], "seeds: must be at least 1: got 0"),
    ],
)
def test_other_commands_refuse_alike(arguments: list[str], told: str) -> None:
    code, _, err = zoo(*arguments)
    assert code == 2
    assert told in err
    assert err.startswith("zoo: ")


# ---------------------------------------------------------------------------------------------------- help and list


@pytest.mark.parametrize("arguments", [[], ["--help"], ["list"], ["list", "--json"]], ids=" ".join)
def test_help_and_list_are_quick_and_load_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    script = (
        "import sys\nfrom zoo.cli.main import main\n"
        "try:\n    main()\n"
        "finally:\n    heavy = ('torch', 'lightning', 'hydra', 'omegaconf')\n"
        "    print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments], capture_output=True, text=True, cwd=tmp_path, check=True
        )
        times.append(time.perf_counter() - begun)
        assert done.stderr.strip() == "[]"
        assert done.stdout
        if times[-1] < 0.5:
            break
    assert min(times) < 0.5 or _busy(), times


@pytest.mark.parametrize(
    ("word", "heavy"),
    [("model/norm=rmss", []), ("steps=x", []), ("trainer.devices=0.5", ["lightning", "torchmetrics", "torch._dynamo"])],
)
def test_a_mistake_is_refused_before_lightning_is_imported(word: str, heavy: list[str], tmp_path: Path) -> None:
    """Lightning itself has to be asked about its own arguments only."""
    script = (
        "import sys\nfrom zoo.cli.main import main\n"
        "try:\n    main()\n"
        "finally:\n    heavy = ('lightning', 'torchmetrics', 'torch._dynamo', 'polars')\n"
        "    print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "train", *TINY, word], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"zoo: {word.partition('=')[0]}: ")
    assert done.stdout.strip() == str(heavy)


def _busy() -> bool:
    """Whether others have the machine, so that times mean nothing."""
    return os.getloadavg()[0] > (os.cpu_count() or 1)


def test_list_as_json_says_what_the_registry_knows() -> None:
    listed = json.loads(zoo("list", "--json").out)
    assert {(item["kind"], item["name"]) for item in listed} == set(get_index().entries)
    for item in listed:
        assert item["description"]
        assert set(item) >= {"kind", "name", "options", "paper", "description"}
        for option in item["options"]:
            assert option["required"] is ("default" not in option)
            assert option["type"]
    grouped = next(item for item in listed if item["name"] == "grouped_query")
    assert grouped["paper"] == "arXiv:2305.13245"
    assert {"name": "kv_heads", "type": "int", "required": False, "default": 2} in grouped["options"]


def test_list_of_one_kind_shows_options_with_defaults() -> None:
    out = zoo("list", "attention").out
    assert "kv_heads: int = 2" in out
    assert "causal_lm" not in out


def test_train_help_lists_every_option_of_every_group() -> None:
    out = zoo("train", "--help").out
    listed = out.split("== Config")[0].splitlines()
    choices = {group: names.split(", ") for group, _, names in (line.partition(": ") for line in listed)}
    conf = find_package_folder("conf")
    for file in conf.glob("*/**/*.yaml"):
        group, *name = file.relative_to(conf).with_suffix("").parts
        assert "/".join(name) in choices[group]
    for (kind, name), slot in ((key, slot) for key in get_index().entries for slot in SLOT_OF.get(key[0], ())):
        assert name in choices[slot], (kind, name, slot)
    assert choices["model/cross"] == choices["model/attention"]
    assert "warmup: 0.1" in out


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "train"])
def test_each_command_has_help(command: str) -> None:
    code, out, _ = zoo(command, "--help")
    assert code == 0
    assert out.startswith(f"usage: zoo {command} ")
    assert "\nexamples:\n" in out


# ----------------------------------------------------------------------------------------------------------- Hydra


def runs(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(folder.glob("runs/*/result.json"))]


def test_a_sweep_of_two_values_makes_two_runs(tmp_path: Path) -> None:
    code, out, err = zoo("train", *TINY, "seed=0,1", "-m", "steps=1")
    assert code == 0, err
    assert len(runs(tmp_path)) == 2
    assert out.count("exact_match") == 2


def test_a_sweep_is_reported_on_by_the_words_that_made_it(tmp_path: Path) -> None:
    overrides = [*TINY, "model/norm=layer,rms", "steps=1"]
    code, out, err = zoo("train", "-m", *overrides, "seed=0,1", "hydra/launcher=basic")
    assert code == 0, err
    command = shlex.split(out.splitlines()[-1].removeprefix("report: "))
    assert command == ["zoo", "report", "-m", *overrides, "seed=0,1"]
    mine = {name: tmp_path / name for name in ("report.md", "report.html", "table.csv", "pictures/cat.svg")}
    for name, path in mine.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"my {name}")
    before = sorted(tmp_path.iterdir())
    code, out, err = zoo(*command[1:])
    assert code == 0, err
    assert "not finished" not in out
    assert {name: path.read_text() for name, path in mine.items()} == {name: f"my {name}" for name in mine}
    assert sorted(tmp_path.iterdir()) == before
    written = Path(out.splitlines()[-1].removeprefix("report: "))
    assert written.parents[1] == tmp_path / "runs" / "reports"
    arms = [row["arm"] for row in json.loads(written.with_name("report.json").read_text())["tasks"][0]["arms"]]
    assert [arm.split(",")[0] for arm in arms] == ["norm=layer", "norm=rms"]
    judging = ["baseline=norm=layer", "metrics=loss"]
    code, out, err = zoo("report", "-m", *overrides, "seed=1,2", *judging, "--out", "further")
    assert code == 0, err
    (task,) = json.loads((tmp_path / "further" / "report.json").read_text())["tasks"]
    assert [metric["name"] for metric in task["metrics"]] == ["loss"]
    assert [row["against"] for row in task["arms"]] == [None, arms[0]]
    told = sorted(line for line in out.splitlines() if line.startswith("not finished: "))
    assert [line.split("  ")[0] for line in told] == [f"not finished: numbers {arm} seed 2" for arm in arms]
    assert (tmp_path / "further" / "report.html").exists()
    code, out, err = zoo("report", *map(str, tmp_path.glob("runs/*")), "--out=.")
    assert (code, err.count("\n")) == (2, 1)
    assert "report.html, report.md, table.csv" in err
    assert zoo("report", "-m", *overrides, "sead=1,2").err.startswith("zoo: sead: unknown key: did you mean seed?")


def test_a_study_without_a_file_runs_and_is_found_again(tmp_path: Path) -> None:
    """With a name of all the characters that YAML, Hydra's grammar and shells care for."""
    arm = "a \"b\", {c}: 'd' \\ é=~#"
    tiny = [word for word in TINY if not word.startswith("threads=")]
    words = [*tiny, f"arms={json.dumps({arm: {'model/norm': 'rms'}})}", "seeds=1", "steps=1", "name=mine"]
    code, out, err = zoo("study", *words, "hydra/launcher=basic")
    assert code == 0, err
    assert "2 of 2 runs done" in out
    assert "\t#1 : " not in out + err, "a launcher repeats the overrides of each run"
    assert len(runs(tmp_path)) == 2
    found = json.loads(zoo("study", *words, "--status", "--json").out)
    assert {(cell["arm"], cell["state"]) for cell in found["cells"]} == {(arm, "done"), ("baseline", "done")}
    report = tmp_path / "runs" / "reports" / "mine" / "report.json"
    before = json.loads(report.read_text())
    report.unlink()
    code, out, err = zoo("report", *words, "hydra/launcher=basic")
    assert code == 0, err
    assert [row["arm"] for row in json.loads(report.read_text())["tasks"][0]["arms"]] == ["baseline", arm]
    assert before["tasks"][0]["arms"] == json.loads(report.read_text())["tasks"][0]["arms"]
    assert "2 of 2 runs done" in zoo("study", *words, "hydra/launcher=basic").out
    assert len(runs(tmp_path)) == 2


def test_cfg_job_prints_the_config_and_runs_nothing(tmp_path: Path) -> None:
    code, out, _ = zoo("train", *TINY, "--cfg", "job")
    assert code == 0
    assert "limit: 200" in out
    assert not (tmp_path / "runs").exists()
    assert zoo("train", *TINY, "--cfg", "job", "model=gpx").code == 2


def test_joblib_runs_a_sweep(tmp_path: Path) -> None:
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", f"runs={tmp_path / 'runs'}"]
    code, _, err = zoo("train", "-m", *TINY, *launcher, "seed=0,1", "steps=1")
    assert code == 0, err
    assert len(runs(tmp_path)) == 2


# ------------------------------------------------------------------------------------------------ several processes


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Through the console script: Lightning starts the second process with the first one's arguments.

    Rows ask for different numbers of tokens, experts are balanced and corrected, gradients are clipped: every term, the
    validation and the weights are those of one process, up to the order of sums.
    """
    data = tmp_path / "text.txt"
    data.write_text("the quick brown fox jumps over the lazy dog, and so on. " * 40)
    # fmt: off
    same = ["model=gpt/tiny", "model.variant=encoder", "model.position.length=16", *SMALL, "model/ffn=moe",
            "model.ffn.router={aux_loss: 0.5, z_loss: 0.1, correction: 0.01}", "data=text", f"data.path={data}",
            "data.length=16", "data/tokenizer=bytes", *ON_CPU, "steps=3", "evaluate=3", "batch=5", "accumulate=2",
            "optimizer._target_=torch.optim.SGD", "~optimizer.betas", "~optimizer.eps", "trainer.log_every_n_steps=1"]
    # fmt: on
    script = Path(sys.executable).with_name("zoo")
    many = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "runs=two"]
    done = subprocess.run(
        [str(script), "train", *same, *many], capture_output=True, text=True, cwd=tmp_path, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr
    assert zoo("train", *same).code == 0
    (two,), (one,) = (list(tmp_path.glob(f"{folder}/*/result.json")) for folder in ("two", "runs"))
    first, second = (json.loads(file.read_text()) for file in (one, two))
    assert second["metrics"]["loss"] == pytest.approx(first["metrics"]["loss"], rel=1e-6)
    assert second["tokens"] == first["tokens"]
    weights = [load_file(file.with_name("model.safetensors")) for file in (one, two)]
    torch.testing.assert_close(*weights, rtol=1e-5, atol=1e-7)
    curves = [without_times(file.with_name("metrics.csv").read_text()) for file in (one, two)]
    assert {"train/loss", "train/load_balance", "train/gradient_norm"} < {name for line in curves[0] for name in line}
    for line, other in zip(*curves, strict=True):
        assert {name: float(value) for name, value in other.items()} == pytest.approx(
            {name: float(value) for name, value in line.items()}, rel=1e-5
        )

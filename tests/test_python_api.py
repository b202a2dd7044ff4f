"""Models, runs, studies, and reports from Python are those of the commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import polars as pl
import pytest
import torch

import zoo
from tests.command import zoo as command
from zoo.api import study_result, train_run
from zoo.hub import save

SIZE = ("model=gpt/tiny", "model.dim=16", "model.hidden=16", "data=numbers", "data.limit=60", "batch=4", "trainer=cpu")
SHORT = (*SIZE, "steps=2", "evaluate=2", "examples=1", "threads=1")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A working folder, as a reader has one."""
    before = Path.cwd()
    os.chdir(folder := tmp_path_factory.mktemp("place"))
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def run(place: Path) -> zoo.RunResult:
    """A run whose weights are those that it started from."""
    return zoo.train(*SHORT, "optimizer.lr=0")


@pytest.fixture(scope="module")
def model(run: zoo.RunResult) -> zoo.LoadedModel:
    return zoo.load(run.folder)


# ------------------------------------------------------------------------------------------------------------ runs


def test_a_training_gives_a_typed_result(run: zoo.RunResult) -> None:
    record = json.loads((run.folder / "result.json").read_text())
    assert run.metrics == record["metrics"]
    assert run.cost["parameters"] == sum(weight.numel() for weight in zoo.build(*SHORT).parameters())
    assert (run.steps, run.diverged, run.config.model.dim) == (2, False, 16)
    assert run.started is not None
    assert run.finished is not None
    assert run.started <= run.finished


def test_folders_are_absolute(run: zoo.RunResult, study: zoo.StudyResult) -> None:
    relative = run.folder.relative_to(Path.cwd().resolve())
    assert run.folder.is_absolute()
    assert zoo.load(relative).folder == zoo.RunResult.read(relative).folder == run.folder
    assert zoo.results(relative)["folder"].to_list() == [str(run.folder)]
    assert [str(each.folder) for each in study.runs] == study.results["folder"].to_list()
    assert all(each.folder.is_absolute() for each in study.runs)
    assert study.report.page.is_absolute()


def test_the_command_finds_the_result_that_python_made(run: zoo.RunResult) -> None:
    """Same folder, and no second training."""
    done = command("train", *SHORT, "optimizer.lr=0")
    assert done.code == 0, done.err
    assert run.folder.name in done.out
    assert zoo.train(*SHORT, "optimizer.lr=0") == run


def test_a_record_is_converted_both_ways(run: zoo.RunResult) -> None:
    record = {**json.loads((run.folder / "result.json").read_text()), "of_later_versions": 1}
    result = zoo.RunResult.from_json(run.folder, record)
    written = json.loads(json.dumps(result.as_json()))
    assert {name: written[name] for name in record} == record
    assert zoo.RunResult.from_json(run.folder, written) == result
    assert result.further == {"of_later_versions": 1}


def test_a_config_that_is_not_complete_is_named(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text('{"metrics": {}}')
    result = zoo.RunResult.read(tmp_path)
    for content in ("", "steps: 1", "model: 3"):
        (tmp_path / "config.yaml").write_text(content)
        with pytest.raises(zoo.Refused, match=f"^{tmp_path}/config.yaml must "):
            print(result.config.model)


def test_a_training_refuses_all_problems_at_once(place: Path) -> None:
    with pytest.raises(zoo.Refused) as refusal:
        zoo.train(*SIZE, "steps=0", "model.heads=3", "runs=refused")
    assert {line.split(":")[0] for line in str(refusal.value).splitlines()} == {"steps", "model.heads"}
    assert not (place / "refused").exists()


def test_a_folder_without_a_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(zoo.Refused, match=r"folder must be that of a finished run: there is no result\.json in"):
        zoo.RunResult.read(tmp_path)


def test_several_devices_are_trained_on_in_another_process(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[tuple[str, ...]] = []
    monkeypatch.setattr(train_run, "run_command", lambda *words: called.append(words) or 3)
    overrides = (*SHORT, "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
    with pytest.raises(RuntimeError, match="the process of the training ended with exit code 3"):
        zoo.train(*overrides)
    assert called == [("train", *overrides)]


# ---------------------------------------------------------------------------------------------------------- models


def test_a_model_has_the_weights_that_its_training_starts_from(run: zoo.RunResult, model: zoo.LoadedModel) -> None:
    for built in (zoo.build(*SHORT), zoo.build(run.config), zoo.build(run.config.as_mapping())):
        weights = built.state_dict()
        assert weights.keys() == model.network.state_dict().keys()
        assert all(torch.equal(weights[name], value) for name, value in model.network.state_dict().items())
    other = zoo.build(*SHORT, "seed=1").state_dict()
    assert not torch.equal(other["embedding.table.weight"], weights["embedding.table.weight"])


def test_a_model_of_no_config_is_refused() -> None:
    with pytest.raises(zoo.Refused, match=r"model\.dim: must be an int: got 'abc'"):
        zoo.build("model=gpt/tiny", "model.dim=abc")
    with pytest.raises(zoo.Refused, match="build takes overrides, or one config: got both"):
        zoo.build({}, "model.dim=64")


def test_a_loaded_model_is_a_module(model: zoo.LoadedModel) -> None:
    assert isinstance(model, torch.nn.Module)
    assert not model.training
    assert model.tokenizer is not None
    tokens = torch.tensor([model.tokenizer.encode("12").ids])
    assert torch.equal(model(tokens), model.network(tokens))


def test_it_writes_what_the_command_writes(run: zoo.RunResult, model: zoo.LoadedModel) -> None:
    for options, flags in (
        ({"seed": 3, "temperature": 2.0, "top_k": 9}, ("--seed=3", "--temperature=2", "--top-k=9")),
        ({"greedy": True}, ("--greedy",)),
        ({"beams": 2, "length_penalty": 0.0}, ("--beams=2", "--length-penalty=0")),
    ):
        text = model.generate("12", max_tokens=5, **options)  # type: ignore[call-overload]
        assert command("generate", str(run.folder), "12", "--tokens=5", *flags).out == f"{text}\n"
    drawn = model.generate("12", max_tokens=5, seed=3)
    assert zoo.generate(run.folder, "12", max_tokens=5, seed=3) == drawn
    assert "".join(zoo.generate(model, "12", max_tokens=5, seed=3, stream=True)) == drawn
    assert model.generate(["12", "3"], max_tokens=5, seed=3)[0] == drawn
    assert len({model.generate("12", max_tokens=5, seed=seed) for seed in range(5)}) > 1


def test_options_that_make_no_sense_are_refused_together(model: zoo.LoadedModel) -> None:
    with pytest.raises(zoo.Refused) as refusal:
        model.generate(["12"], beams=2, top_k=0, max_tokens=0, stream=True)  # type: ignore[call-overload]
    assert str(refusal.value).splitlines() == [
        "beams makes no sense together with top_k, stream",
        "stream needs one prompt: got 1",
        "max_tokens must be positive: got 0",
        "top_k: must be positive: got 0",
    ]
    with pytest.raises(zoo.Refused, match=r"^length_penalty needs beams: got beams=None$"):
        model.generate("12", length_penalty=2.0)
    with pytest.raises(zoo.Refused, match=r"^greedy makes no sense together with seed$"):
        model.generate("12", greedy=True, seed=1)
    for name in ("tokens", "max_new_tokens"):
        with pytest.raises(zoo.Refused, match=f"^unknown option '{name}': did you mean max_tokens\\? choices: beams, "):
            model.generate("12", **{name: 3})  # type: ignore[call-overload]
    assert "did you mean --tokens?" in command("generate", str(model.folder), "12", "--max-new-tokens", "3").err


def test_a_run_is_exported(run: zoo.RunResult, tmp_path: Path) -> None:
    exported = zoo.export(run.folder, tmp_path / "gpt", family="gpt")
    assert exported.family == "gpt2"
    assert exported.files["config.json"] == (tmp_path / "gpt" / "config.json").stat().st_size
    with pytest.raises(zoo.Refused, match="the model does not fit llama:"):
        zoo.export(run.folder, tmp_path / "llama", family="llama2")
    with pytest.raises(zoo.Refused, match="did you mean llama2"):
        zoo.export(run.folder, tmp_path / "llama", family="lama2")


def test_a_checkpoint_folder_is_loaded_too(model: zoo.LoadedModel, tmp_path: Path) -> None:
    save(model.network, tmp_path / "checkpoint")
    loaded = zoo.load(tmp_path / "checkpoint")
    tokens = torch.tensor([[1, 2, 3]])
    assert torch.equal(loaded(tokens), model(tokens))
    assert loaded.tokenizer is None
    with pytest.raises(zoo.Refused, match="which a prompt needs"):
        loaded.generate("12")


def test_a_summary_shows_itself() -> None:
    summary = zoo.show(*SIZE)
    assert repr(summary).startswith(f"decoder  {summary.parameters:,} parameters\n")
    assert summary.parameters == sum(weight.numel() for weight in zoo.build(*SIZE).parameters())
    assert repr(summary).splitlines() == [line.rstrip() for line in command("show", *SIZE).out.splitlines()]
    assert summary._repr_html_() == f"<pre>{summary!r}</pre>"


def test_a_summary_is_a_text_in_jupyter_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """There rich would display every line by itself, and the environment asks for color."""
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = repr(zoo.show(*SIZE))
    assert shown.startswith("decoder  ")
    assert "\x1b" not in shown


# --------------------------------------------------------------------------------------------- studies and reports


@pytest.fixture(scope="module")
def study(place: Path) -> zoo.StudyResult:
    """A study whose command runs in this process, which spares the imports of another one."""
    arms = "arms={rms: {model/norm: rms}}"
    words = [word for word in SHORT if not word.startswith("threads=")]
    with mock.patch.object(study_result, "run_command", lambda *words: command(*words).code):
        return zoo.study(words[0], *words[1:], arms, "seeds=1", "question=Is <b> better?", "hydra/launcher=basic")


def test_a_command_runs_in_a_process_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    assert train_run.run_command("--version") == 0
    assert capfd.readouterr().out == f"{zoo.__version__}\n"
    assert train_run.run_command("nothing") == 2


def test_a_study_gives_a_typed_result(study: zoo.StudyResult) -> None:
    assert study.is_complete
    assert [(run.arm, run.task, run.seed, run.status) for run in study.runs] == [
        ("baseline", "numbers", 1, "done"),
        ("rms", "numbers", 1, "done"),
    ]
    assert study.report.page.read_text(encoding="utf8").startswith("<!doctype html>")
    assert "numbers" in study.answers
    for run in study.runs:
        assert run.result == zoo.RunResult.read(run.folder)
    assert "<b>" not in study._repr_html_()
    assert "Is &lt;b&gt; better?" in study._repr_html_()


def test_results_have_a_row_for_each_run(study: zoo.StudyResult, run: zoo.RunResult) -> None:
    assert study.results["arm"].to_list() == ["baseline", "rms"]
    assert study.results["target_nll"].to_list() == [each.result.metrics["target_nll"] for each in study.runs]  # type: ignore[union-attr]
    one = zoo.results(run.folder)
    assert one.select("task", "size", "seed", "status", "loss", "cost.parameters", "folder").row(0) == (
        *("numbers", None, 0, "done", run.metrics["loss"], run.cost["parameters"]),
        str(run.folder),
    )
    everything = zoo.results(run.folder.parent)
    assert everything.height == 3
    assert isinstance(everything, pl.DataFrame)


def test_results_have_the_config_values_that_differ(study: zoo.StudyResult) -> None:
    frame = zoo.results(study.runs[0].folder.parent)
    columns = [name for name in frame.columns if name.startswith("config.")]
    assert "config.model.norm.name" in columns
    assert columns == sorted(columns)
    assert not {"config.seed", "config.runs", "config.label", "config.cache"} & set(columns)
    assert sorted(set(frame["config.model.norm.name"])) == ["layer", "rms"]
    for name, folder in zip(frame["config.model.norm.name"], frame["folder"], strict=True):
        assert zoo.RunResult.read(folder).config.model.options["norm"]["name"] == name


def test_what_is_no_folder_of_runs_is_refused_as_such(study: zoo.StudyResult) -> None:
    with pytest.raises(zoo.Refused, match=r"^'twoo' is neither a folder of runs nor a study: "):
        zoo.results("twoo")
    folder = study.runs[0].folder
    with pytest.raises(zoo.Refused, match=rf"is neither a run nor a checkpoint: .*; it holds others: .*{folder.name}"):
        zoo.load(folder.parent)


def test_overrides_in_a_list_are_refused() -> None:
    with pytest.raises(zoo.Refused, match=r"must be strings, such as 'model=gpt', 'steps=20': got \['steps=3'\]"):
        zoo.train(["steps=3"])  # type: ignore[arg-type]


def test_a_report_is_written_where_it_says(study: zoo.StudyResult, place: Path) -> None:
    written = zoo.report(*(run.folder for run in study.runs), "metrics=exact_match", out=place / "beside")
    assert written.page == place / "beside" / "report.html"
    relative = zoo.report(study.runs[0].folder, "metrics=exact_match", out="relative")
    assert relative.page == (place / "relative" / "report.html").resolve()
    assert written.page.is_file()
    assert "exact match" in str(written)
    assert str(written.page) in written._repr_html_()
    with pytest.raises(zoo.Refused, match="report must be given a study or run folders: got none"):
        zoo.report()


def test_a_study_is_refused_before_anything_is_trained(place: Path) -> None:
    with pytest.raises(zoo.Refused, match=r"^retries must not be negative: got -1$"):
        zoo.study("three_variants", retries=-1)
    with pytest.raises(zoo.Refused, match=r"steps: must be positive: got 0"):
        zoo.study(*SIZE, "arms={rms: {model/norm: rms}}", "steps=0")


def test_a_study_file_names_a_target_only_where_it_may(place: Path) -> None:
    study = [
        "question: q",
        "expected: e",
        "seeds: [1]",
        "baseline: a",
        "arms: {a: {}}",
        "tasks: {t: {metrics: [loss]}}",
    ]
    lines = [*study, "overrides: {callbacks: {own: {_target_: my_callbacks.Own}}}"]
    (place / "study.yaml").write_text("\n".join(lines), encoding="utf8")
    with pytest.raises(zoo.Refused, match="my_callbacks"):
        zoo.study(place / "study.yaml", *SHORT)
    called: list[tuple[str, ...]] = []
    with (
        mock.patch.object(study_result, "gather_runs", lambda words, allowed: called.append((*words, *allowed))),
        mock.patch.object(study_result, "run_command", lambda *words: called.append(words) or 3),
        pytest.raises(RuntimeError, match="the process of the study ended with exit code 3"),
    ):
        zoo.study("mine", "steps=2", retries=2, allow_target=["my_callbacks"])
    assert called == [
        ("mine", "steps=2", "my_callbacks"),
        ("study", "mine", "steps=2", "--on-failure=go_on", "--retries=2", "--allow-target=my_callbacks"),
    ]


def test_html_is_escaped(run: zoo.RunResult) -> None:
    odd = zoo.RunResult(folder=Path("<i>"), metrics={"<b>": 1.0, "gone": None}, cost={"parameters": 1234})
    assert odd._repr_html_() == (
        "<table><caption>&lt;i&gt;</caption><tr><th>&lt;b&gt;</th><td>1</td></tr>"
        "<tr><th>gone</th><td>nan</td></tr><tr><th>parameters</th><td>1,234</td></tr></table>"
    )
    assert repr(odd) == "RunResult(<b>=1, gone=nan, folder='<i>')"


# ----------------------------------------------------------------------------------------------------------- types

SCRIPT = """
from pathlib import Path
from typing import reveal_type

import zoo

result = zoo.train("model=gpt/tiny")
reveal_type(result.metrics)
model = zoo.load(result.folder)
reveal_type(model.generate("a", max_tokens=3))
reveal_type(model.generate(["a"], beams=2))
reveal_type(zoo.generate(Path("runs/1"), "a", stream=True))
reveal_type(zoo.study("three_variants", retries=1).runs[0].status)
reveal_type(zoo.report("three_variants").page)
zoo.train(steps=3)
model.generate("a", tokens=3)
zoo.study(3)
"""


def test_types_are_seen_from_outside(tmp_path: Path) -> None:
    pytest.importorskip("mypy", reason="comes with the extra lint")
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf8")
    heavy = ("torch", "lightning", "torchmetrics", "hydra", "omegaconf", "polars", "numpy", "rich", "scipy", "altair")
    skipped = [f"[mypy-{name}.*]\nfollow_imports = skip\nignore_missing_imports = True\n" for name in heavy]
    (tmp_path / "mypy.ini").write_text("[mypy]\n" + "\n".join(skipped), encoding="utf8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--allow-subclassing-any", "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    told = [line.partition(": ")[2] for line in done.stdout.splitlines() if line.startswith("script.py")]
    assert told[:6] == [
        'note: Revealed type is "typing.Mapping[str, float | None]"',
        'note: Revealed type is "str"',
        'note: Revealed type is "list[str]"',
        'note: Revealed type is "typing.Iterator[str]"',
        "note: Revealed type is \"Literal['done'] | Literal['stale'] | Literal['failed'] | Literal['not finished']\"",
        'note: Revealed type is "pathlib.Path"',
    ], done.stdout
    errors = [line for line in told if line.startswith("error")]
    assert re.match(r'error: Unexpected keyword argument "steps" for "train"', errors[0])
    assert re.match(r'error: Unexpected keyword argument "tokens" for overloaded function "generate"', errors[1])
    assert re.match(r'error: Argument 1 to "study" has incompatible type "int"', errors[-1])
    assert len(errors) == 4

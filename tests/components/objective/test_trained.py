"""``zoo train`` with each objective, from a command to a result; an interrupted run ends as an undisturbed one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.callbacks import Callback

from tests.command import ON_CPU, SMALL, checked, refusal, without_times, zoo
from zoo.registry import get_index
from zoo.training import run as run_module
from zoo.training.run import run_folder, train

CASES = {
    "causal_and_masked": ["model.variant=decoder"],
    "infilling": ["model.variant=decoder"],
    "multi_token": ["model.variant=decoder"],
    "next_sentence": ["model.variant=encoder"],
    "replaced_token": ["model.variant=encoder", "+objective.generator={dim: 8, layers: 1}"],
    "ul2": ["model.variant=encoder_decoder"],
    "classification": ["model.variant=encoder"],
}


class Stops(Callback):
    """As Ctrl-C at the second step, while it is set."""

    at: int | None = None

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == Stops.at:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("objectives")
    lines = [f"{i} bottles of beer on the wall, {i} bottles; take {i % 7} down." for i in range(60)]
    (folder / "text.txt").write_text("\n\n".join(lines))
    (folder / "pairs.tsv").write_text("".join(f"{i} bottles\t{'ox'[i % 2]}\n" for i in range(80)))
    return folder


def config(name: str, written: Path, *more: str) -> list[str]:
    pairs = name == "classification"
    data = (
        ["data=pairs", f"data.path={written / 'pairs.tsv'}", "data.validation=0.2"]
        if pairs
        else ["data=text", f"data.path={written / 'text.txt'}"]
    )
    sizes = ["data/tokenizer=bytes", "data.length=32", "model=gpt/tiny", "model/position=sinusoidal"]
    return [
        f"objective={name}",
        *sizes,
        *SMALL,
        *ON_CPU,
        *data,
        "steps=3",
        "evaluate=3",
        "checkpoint=1",
        *CASES[name],
        *more,
    ]


@pytest.mark.parametrize("name", CASES)
def test_trained_interrupted_and_trained_on(
    name: str, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = zoo("train", *config(name, written, f"runs={tmp_path / 'undisturbed'}"))
    assert done.code == 0, done.err
    (first,) = (tmp_path / "undisturbed").iterdir()
    made = run_module._build_parts

    def with_stop(*given: Any) -> Any:
        *others, callbacks = made(*given)
        return *others, [*callbacks, Stops()]

    monkeypatch.setattr(run_module, "_build_parts", with_stop)
    monkeypatch.setattr(Stops, "at", 2)
    again = checked(*config(name, written, f"runs={tmp_path / 'again'}"))
    with pytest.raises(KeyboardInterrupt):
        train(again)
    assert len(run_folder(again).list_checkpoints()) == 1
    monkeypatch.setattr(Stops, "at", None)
    train(again)
    second = run_folder(again).path
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    curves = [without_times((path / "metrics.csv").read_text()) for path in (first, second)]
    assert curves[0] == curves[1]
    results = [json.loads((path / "result.json").read_text()) for path in (first, second)]
    metrics = results[0]["metrics"]
    assert {**metrics, "tokens_per_second": 0} == {**results[1]["metrics"], "tokens_per_second": 0}
    cls: Any = get_index().get("objective", name).load()
    assert ("bits_per_byte" in metrics) == cls.models_text
    assert "token_accuracy" in metrics if name == "classification" else cls.accuracy in metrics


def test_samples_of_a_classification_are_classes(written: Path, tmp_path: Path) -> None:
    result = train(checked(*config("classification", written, f"runs={tmp_path}", "steps=30", "optimizer.lr=0.01")))
    assert result.text_metric is None, "classes are not texts"
    assert {sample.target for sample in result.samples} == {"o", "x"}
    assert all(len(sample.prediction) == 1 for sample in result.samples)
    assert result.metrics["exact_match"] == result.metrics["token_accuracy"]


def test_targets_that_are_no_classes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pairs.tsv").write_text("".join(f"{i} bottles\tbeer\n" for i in range(40)))
    done = zoo("train", *config("classification", tmp_path, f"runs={tmp_path / 'runs'}"))
    assert done.code == 2
    assert "classification needs targets of one token, the class: got a target of 4 tokens" in done.err
    assert "Traceback" not in done.err


def test_rows_that_grow_need_positions(written: Path) -> None:
    grown = [*config("next_sentence", written), "model/position=learned", "++model.position.length=34"]
    (problem,) = refusal(grown)
    assert problem.endswith("rows of data.length=32 become up to 35 tokens")


def test_token_types_need_an_embedding_of_them(written: Path, tmp_path: Path) -> None:
    told = [*config("next_sentence", written, f"runs={tmp_path}"), "+objective.token_types=true"]
    assert refusal(told) == ["objective.token_types: needs model.embedding.token_types=2: got 0"]
    assert zoo("train", *told, "+model.embedding.token_types=2").code == 0

"""Exported models in the hands of programs that know nothing of zoo.

``make test-clients`` installs what lm-eval and sentence-transformers need; without it these tests are skipped.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from tests.command import ON_CPU, zoo
from zoo.hub import load_network

lm_eval = pytest.importorskip("lm_eval", reason="lm-eval is not installed: make test-clients")
sentence_transformers = pytest.importorskip(
    "sentence_transformers", reason="sentence-transformers is not installed: make test-clients"
)
SMALL = ["model.dim=32", "model.layers=2", "model.hidden=48", "batch=8", "steps=3", "evaluate=3", *ON_CPU]
CHOICES = [("def main", ["():", " x y z"]), ("import", [" os", " 123"]), ("for i in", [" range(3)", "{{{"])]
SENTENCES = ["a list of numbers", "numbers in a list", "the sea at night"]


def exported(folder: Path, model: str, *overrides: str) -> Path:
    """A model that was trained for a moment, as a checkpoint folder."""
    runs = folder / "runs"
    trained = zoo("train", f"model={model}", "data=pydocs", "data.length=64", f"runs={runs}", *SMALL, *overrides)
    assert trained.code == 0, trained.err
    (run,) = [path.parent for path in runs.glob("*/result.json")]
    written = zoo("export", str(run), str(folder / "exported"))
    assert written.code == 0, written.err
    return folder / "exported"


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("decoder"), "llama2")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("encoder"), "bert")


def test_lm_eval_scores_a_decoder_as_its_own_logits_do(decoder: Path, tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text(yaml.safe_dump(_task(tmp_path)))
    rows = [{"question": question, "choices": choices, "answer": 0} for question, choices in CHOICES]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = lm_eval.simple_evaluate(
        model="hf",
        model_args={"pretrained": str(decoder), "dtype": "float32"},
        tasks=["python_choices"],
        task_manager=lm_eval.tasks.TaskManager(include_path=str(tmp_path), include_defaults=False),
        device="cpu",
        bootstrap_iters=0,
        log_samples=True,
    )
    samples = sorted(found["samples"]["python_choices"], key=lambda sample: sample["doc_id"])
    for sample, (question, choices) in zip(samples, CHOICES, strict=True):
        scores = [float(answer[0]) for answer in sample["filtered_resps"]]
        assert scores == pytest.approx([_likelihood(decoder, question, choice) for choice in choices], abs=1e-4)


def _task(folder: Path) -> dict[str, Any]:
    return {
        "task": "python_choices",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / "rows.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "question",
        "doc_to_choice": "choices",
        "doc_to_target": "answer",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc"}],
    }


def _likelihood(folder: Path, question: str, choice: str) -> float:
    """ln p of a choice after a question, by our own model."""
    from transformers import AutoTokenizer

    encode = AutoTokenizer.from_pretrained(folder).encode
    whole, context = encode(question + choice), len(encode(question))
    with torch.no_grad():
        scores = load_network(folder)(torch.tensor([whole]))[0].log_softmax(-1)
    return float(sum(scores[place - 1, whole[place]] for place in range(context, len(whole))))


def test_transformers_writes_on(decoder: Path) -> None:
    from transformers import pipeline

    writer = pipeline("text-generation", model=str(decoder), device="cpu")
    (answer,) = writer("import ", max_new_tokens=8, do_sample=False)
    ours = zoo("generate", str(decoder), "import ", "--greedy", "--tokens", "8")
    assert answer["generated_text"].removeprefix("import ").rstrip() == ours.out.removeprefix("import ").rstrip()


def test_sentence_transformers_pools_an_encoder(encoder: Path) -> None:
    from transformers import AutoTokenizer

    found = sentence_transformers.SentenceTransformer(str(encoder), device="cpu").encode(SENTENCES)  # which averages
    given = AutoTokenizer.from_pretrained(encoder)(SENTENCES, padding=True, return_tensors="pt")
    mask = given["attention_mask"]
    with torch.no_grad():
        hidden = load_network(encoder).hidden_states(given["input_ids"], mask)  # type: ignore[operator]
    expected = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    assert torch.from_numpy(found).sub(expected).abs().max() < 1e-5

"""Metrics of the validation split against plain formulas over plain loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, load_model

from zoo.config.checking import CheckedConfig
from zoo.config.data_and_objective import make_objective
from zoo.model.build import assemble
from zoo.model.objective import View
from zoo.runs.run_result import RunResult
from zoo.training.batches import Share, TrainingBatches, ValidationViews
from zoo.training.evaluation import Evaluation
from zoo.training.random_streams import make_generator
from zoo.training.run import prepare_data

Trained = Callable[[CheckedConfig], tuple[Path, RunResult]]


def answers(config: CheckedConfig, path: Path) -> tuple[Any, list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]]:
    """Prepared data, and of each validation batch: log-probabilities of all places, targets, asked places."""
    prepared = prepare_data(config.config)
    assert config.plan is not None
    model = assemble(config.plan, prepared.vocabulary.size).eval()
    load_model(model, path / "model.safetensors")
    objective = make_objective(config.config, prepared.vocabulary)
    found = []
    with torch.no_grad():
        for number in range(math.ceil(len(prepared.validation) / 8)):
            rows = range(number * 8, min(len(prepared.validation), number * 8 + 8))
            drawn = [make_generator(0, "validation", row) for row in rows]
            view = objective.prepare(prepared.validation.get_batch(rows), drawn)
            logits = model.logits(model.compute_hidden(view.inputs)).double()
            found.append((logits.log_softmax(-1), view.targets, view.valid))
    return prepared, found


def test_documents(documents: Callable[..., CheckedConfig], trained: Trained) -> None:
    config = documents("steps=5", "evaluate=5")
    path, result = trained(config)
    prepared, found = answers(config, path)
    asked = [
        (float(logs[row, place, targets[row, place]]), int(logs[row, place].argmax()) == int(targets[row, place]))
        for logs, targets, valid in found
        for row, place in valid.nonzero().tolist()
    ]
    total = -sum(log for log, _ in asked)
    metrics = result.metrics
    assert metrics["loss"] == pytest.approx(total / len(asked), rel=1e-5)
    assert metrics["perplexity"] == pytest.approx(math.exp(total / len(asked)), rel=1e-4)
    assert metrics["token_accuracy"] == pytest.approx(sum(right for _, right in asked) / len(asked))
    texts = [prepared.decode(row.tolist()) for row in prepared.validation.stream.values[None]]
    assert len("".join(texts).encode()) == prepared.validation.bytes
    assert metrics["bits_per_byte"] == pytest.approx(total / math.log(2) / prepared.validation.bytes, rel=1e-5)


def test_pairs(pairs: Callable[..., CheckedConfig], trained: Trained) -> None:
    config = pairs("steps=40", "evaluate=40", "optimizer.lr=0.01", "data.source=english", "data.target=digits")
    path, result = trained(config)
    _, found = answers(config, path)
    nlls, exact = [], []
    for logs, targets, valid in found:
        for row in range(len(valid)):
            places = valid[row].nonzero()[:, 0].tolist()
            nlls.append(-sum(float(logs[row, place, targets[row, place]]) for place in places))
            exact.append(all(int(logs[row, place].argmax()) == int(targets[row, place]) for place in places))
    metrics = result.metrics
    assert metrics["target_nll"] == pytest.approx(sum(nlls) / len(nlls), rel=1e-5)
    assert metrics["exact_match"] == pytest.approx(sum(exact) / len(exact))
    assert "bits_per_byte" not in metrics
    assert metrics["chrf"] == result.text_metric.value <= 1
    assert "nc:6|nw:0" in result.text_metric.signature


@pytest.mark.parametrize("surprise", [0.0, 300.0, 3000.0, math.inf, math.nan])
def test_perplexity_is_the_exponential_of_the_loss(surprise: float, pairs: Callable[..., CheckedConfig]) -> None:
    """However surprising one token is; inf and nan stay so. Of two classes, nll is log(1 + e^x)."""
    checked = pairs()
    prepared = prepare_data(checked.config)
    objective = make_objective(checked.config, prepared.vocabulary)
    evaluation = Evaluation(objective, "documents", 2, 0)
    view = ValidationViews(prepared.validation, objective, 1, Share())[0]
    evaluation.update(torch.tensor([[-surprise, 0.0], [0.0, 0.0]]), torch.tensor([0, 0]), view)
    metrics = evaluation.compute()
    loss = (surprise + math.log1p(math.exp(-surprise)) + math.log(2)) / 2
    assert metrics["loss"] == pytest.approx(loss, nan_ok=True)
    assert metrics["perplexity"] == pytest.approx(math.exp(loss) if loss < 709 else loss * math.inf, nan_ok=True)


@pytest.mark.parametrize("world", [2, 3, 5])
def test_processes_share_the_split_and_ask_each_place_once(world: int, documents: Callable[..., CheckedConfig]) -> None:
    config = documents()
    prepared = prepare_data(config.config)
    objective = make_objective(config.config, prepared.vocabulary)
    alone = ValidationViews(prepared.validation, objective, 2, Share())
    shares = [ValidationViews(prepared.validation, objective, 2, Share(rank, world)) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    asked = sum(int(share[i].valid.sum()) for share in shares for i in range(len(share)))
    assert asked == sum(int(alone[i].valid.sum()) for i in range(len(alone))) > 0


def test_processes_share_each_batch_of_training(documents: Callable[..., CheckedConfig]) -> None:
    config = documents()
    prepared = prepare_data(config.config)
    objective = make_objective(config.config, prepared.vocabulary)
    whole = iter(TrainingBatches(prepared.train, objective, 6, 1, 0, 4, Share()))
    parts = [iter(TrainingBatches(prepared.train, objective, 6, 1, 0, 4, Share(rank, 2))) for rank in (0, 1)]
    for _ in range(3):
        rows = next(whole).view.inputs.tokens
        assert torch.equal(rows[0::2], next(parts[0]).view.inputs.tokens)
        assert torch.equal(rows[1::2], next(parts[1]).view.inputs.tokens)


def test_exact_match_is_told_by_length_of_the_source(pairs: Callable[..., CheckedConfig]) -> None:
    """Answers made up: row by row right or wrong, against a loop over the rows."""
    checked = pairs()
    prepared = prepare_data(checked.config)
    objective = make_objective(checked.config, prepared.vocabulary)
    evaluation = Evaluation(objective, "pairs", prepared.vocabulary.size, 0)
    views = ValidationViews(prepared.validation, objective, 8, Share())
    found: dict[str, list[bool]] = {}
    for number in range(len(views)):
        view = views[number]
        logits = F.one_hot(view.targets, prepared.vocabulary.size).float()
        for row in range(len(view.valid)):
            wrong = (8 * number + row) % 3 == 0
            if wrong:  # in one of its places
                logits[row, view.valid[row].nonzero()[0]] = -logits[row, view.valid[row].nonzero()[0]]
            length = int(prepared.validation.get_batch([8 * number + row]).source_length)
            found.setdefault(str(length), []).append(not wrong)
        evaluation.update(logits[view.valid], view.targets[view.valid], view)
    evaluation.compute()
    assert len(found) > 1
    assert evaluation.by_length == {k: {"exact_match": sum(v) / len(v), "rows": len(v)} for k, v in found.items()}


def test_bits_per_parameter_are_what_is_not_missing(pairs: Callable[..., CheckedConfig], trained: Trained) -> None:
    """Of 64 facts of 2 symbols of 8: 384 bits; an untrained model lacks more than all, a trained one less."""
    facts = ["~data.limit", "data=facts", "data.facts=64", "data.symbols=8", "data/tokenizer=characters", "batch=64"]
    for steps, sign in ((1, -1), (150, 1)):
        path, result = trained(pairs(*facts, f"steps={steps}", f"evaluate={steps}", "optimizer.lr=0.01"))
        weights = sum(tensor.numel() for tensor in load_file(path / "model.safetensors").values())
        missing = result.metrics["target_nll"] / math.log(2) * 64
        assert result.metrics["bits_per_parameter"] == pytest.approx((384 - missing) / weights)
        assert result.metrics["bits_per_parameter"] * sign > 0


def contents(views: Iterable[View]) -> list[tuple[list[int], ...]]:
    """Of each row what is read, which places are asked, and for what; without padding."""
    found = []
    for view in views:
        tokens, segment = view.inputs.tokens, view.inputs.segment
        real = torch.ones_like(view.valid) if segment is None else segment >= 0
        for row, valid in enumerate(view.valid):
            targets = view.targets[row, valid].tolist()
            found.append((tokens[row, real[row]].tolist(), valid.nonzero()[:, 0].tolist(), targets))
    return found


@pytest.mark.parametrize("objective", ["masked_lm", "next_sentence"])
def test_what_a_row_is_asked_does_not_depend_on_the_batch_size(
    objective: str, documents: Callable[..., CheckedConfig]
) -> None:
    config = documents("model.variant=encoder", f"objective={objective}", "model.position.length=40")
    prepared = prepare_data(config.config)
    made = make_objective(config.config, prepared.vocabulary)
    validation = [contents(ValidationViews(prepared.validation, made, batch, Share())) for batch in (8, 3, 1)]
    assert validation[0] == validation[1] == validation[2]
    sizes = [(8, 1), (4, 2), (1, 8)]
    training = [
        contents(part.view for part in islice(TrainingBatches(prepared.train, made, *size, 0, 3, Share()), 2 * size[1]))
        for size in sizes
    ]
    assert len(training[0]) == 16
    assert training[0] == training[1] == training[2]
    assert contents([next(iter(TrainingBatches(prepared.train, made, 8, 1, 0, 4, Share()))).view]) == training[0][8:]


def test_bits_per_byte_are_withheld_where_text_is_lost(
    documents: Callable[..., CheckedConfig], trained: Trained, tmp_path: Path
) -> None:
    """One character that training has not: a hundredth of the text that nobody has to predict."""
    (tmp_path / "text.txt").write_text("\n\n".join(f"{'ab' * 10} {i}" for i in range(60)) + "\n\n" + "ab" * 15 + "ä")
    where = [f"data.path={tmp_path / 'text.txt'}", "data.unit=file", "data.validation=0.2", "steps=1", "evaluate=1"]
    _, lossy = trained(documents(*where, "data/tokenizer=characters"))
    _, whole = trained(documents(*where))
    size = round(0.2 * len((tmp_path / "text.txt").read_text()))
    assert lossy.text_lost["train"] == 0.0
    assert lossy.text_lost["validation"] == pytest.approx(2 / size, rel=0.1)
    assert "bits_per_byte" not in lossy.metrics
    assert "does not give back" in lossy.withheld["bits_per_byte"]
    assert "bits_per_byte withheld (the tokenizer does not give back" in lossy.format_metrics()
    assert whole.text_lost == {"train": 0.0, "validation": 0.0}
    assert whole.withheld == {}
    assert whole.metrics["bits_per_byte"] > 0

"""Deferred logits: values, gradients and memory, against torch's cross-entropy of all logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import zoo.model.logits as module
from zoo.components.objective.causal_lm import CausalLm
from zoo.data.interfaces import Vocabulary
from zoo.model.embedding import Embedding
from zoo.model.head import Head
from zoo.model.inputs import Inputs
from zoo.model.logits import Logits, split_logits, sum_terms
from zoo.model.objective import LanguageModel, Objective, View
from zoo.training.evaluation import Evaluation

ROWS, DIM, VOCABULARY = 77, 16, 50
HEADS: dict[str, dict[str, Any]] = {
    "plain": {},
    "own": {"tied": False},
    "bias": {"bias": True},
    "scale": {"scaled": True},
    "softcap": {"softcap": 3.0},
    "all": {"bias": True, "scaled": True, "softcap": 3.0, "transform": True},
}


class Largest(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operator returns."""

    def __init__(self) -> None:
        super().__init__()
        self.elements, self.names = 0, set[str]()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        for item in out if isinstance(out, list | tuple) else [out]:
            if isinstance(item, Tensor):
                self.elements = max(self.elements, item.numel())
        self.names.add(str(function))
        return out


class Model(nn.Module):
    """A head on an embedding: the shortest model that an objective can train."""

    def __init__(self, vocabulary: int = VOCABULARY, **head: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = Embedding(DIM, vocabulary)
        self.head = Head(DIM, self.embedding, nn.LayerNorm, **head)  # type: ignore[arg-type]
        for parameter in self.parameters():
            nn.init.normal_(parameter)

    def compute_hidden(self, inputs: Inputs) -> Tensor:
        return self.embedding(inputs.tokens)

    def logits(self, hidden: Tensor) -> Tensor:
        return self.head(hidden)

    def defer_logits(self, hidden: Tensor) -> Tensor | Logits:
        return self.head.defer(hidden).simplify()


def make_view(valid: Tensor | None = None, rows: int = ROWS, vocabulary: int = VOCABULARY) -> View:
    generator = torch.Generator().manual_seed(1)
    tokens, targets = torch.randint(vocabulary, (2, 1, rows), generator=generator)
    return View(Inputs(tokens), targets, torch.ones_like(tokens, dtype=torch.bool) if valid is None else valid)


def make_objective(vocabulary: int = VOCABULARY, **options: float) -> CausalLm:
    return CausalLm(DIM, Vocabulary(vocabulary, 0, 1, 2, 3, 4, 5, ()), "decoder", **options)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of up to 20 rows, whose terms are computed 6 at a time."""
    monkeypatch.setattr(module, "_CHUNK_BYTES", 4 * VOCABULARY * 20)
    monkeypatch.setattr(module, "_BLOCK_BYTES", 4 * VOCABULARY * 6)


def compute_plainly(model: Model, view: View, smoothing: float, z_loss: float) -> dict[str, Tensor]:
    logits = model.logits(model.compute_hidden(view.inputs)[view.valid]).float()
    terms = {"cross_entropy": F.cross_entropy(logits, view.targets[view.valid], label_smoothing=smoothing)}
    return terms | ({"z_loss": z_loss * logits.exp().sum(-1).log().square().mean()} if z_loss else {})


def differentiate(model: Model, terms: dict[str, Tensor]) -> list[Tensor]:
    """Gradients of terms that are weighted unequally, as by a third party."""
    weighted = sum(weight * term for weight, term in zip((1.0, 3.0), terms.values(), strict=False))
    return list(torch.autograd.grad(weighted, list(model.parameters())))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options", [{}, {"label_smoothing": 0.1}, {"z_loss": 0.1}, {"label_smoothing": 0.1, "z_loss": 0.1}]
)
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("precision", ["32", "bf16-mixed", "bf16"])
def test_chunks_have_the_values_and_gradients_of_all_logits(
    options: dict[str, float], head: dict[str, Any], precision: str, small_chunks: None
) -> None:
    model, view = Model(**head).to(torch.bfloat16 if precision == "bf16" else torch.float32), make_view()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16-mixed"):
        assert isinstance(model.defer_logits(model.compute_hidden(view.inputs)[0]), Logits)
        ours = make_objective(**options).loss(model, view)
        theirs = compute_plainly(model, view, options.get("label_smoothing", 0.0), options.get("z_loss", 0.0))
    tolerance = {"rtol": 1e-5, "atol": 1e-5} if precision == "32" else {"rtol": 2e-2, "atol": 5e-2}
    torch.testing.assert_close(ours, theirs, **tolerance)
    assert all(term.dtype == torch.float32 for term in ours.values())
    gradients = differentiate(model, theirs)
    torch.testing.assert_close(differentiate(model, ours), gradients, **tolerance)
    other = compute_plainly(model, replace(view, targets=view.targets.roll(1)), 0.0, 0.5)
    with pytest.raises(AssertionError):  # control: other targets have other gradients
        torch.testing.assert_close(differentiate(model, other), gradients, **tolerance)


def test_logits_that_fit_are_computed_as_ever() -> None:
    """One chunk: the same numbers to the bit, in training."""
    model, view = Model(**HEADS["all"]), make_view()
    ours = make_objective(label_smoothing=0.1, z_loss=0.1).loss(model, view)
    logits = model.logits(model.compute_hidden(view.inputs)[view.valid])
    plain = F.cross_entropy(logits, view.targets[view.valid], reduction="sum", label_smoothing=0.1) / ROWS
    assert torch.equal(ours["cross_entropy"], plain)
    ours["cross_entropy"].backward()  # type: ignore[no-untyped-call]
    for parameter, gradient in zip(
        model.parameters(), torch.autograd.grad(plain, list(model.parameters())), strict=True
    ):
        assert torch.equal(parameter.grad, gradient)  # type: ignore[arg-type]


def test_frozen_parameters_get_no_gradient_and_a_graph_may_be_kept(small_chunks: None) -> None:
    model, view = Model(tied=False, bias=True), make_view()
    model.head.requires_grad_(False)
    (term,) = make_objective().loss(model, view).values()
    inputs = model.embedding.table.weight
    first, second = (torch.autograd.grad(term, [inputs], retain_graph=True)[0] for _ in range(2))
    (theirs,) = torch.autograd.grad(compute_plainly(model, view, 0.0, 0.0)["cross_entropy"], [inputs])
    torch.testing.assert_close(first, theirs)
    assert torch.equal(first, second)


def test_without_gradients_only_the_values_are_computed(small_chunks: None) -> None:
    model, view = Model(bias=True, softcap=3.0), make_view()
    with torch.no_grad(), Largest() as seen:
        loss = make_objective(z_loss=0.1).loss(model, view)
    torch.testing.assert_close(loss, {k: v.detach() for k, v in compute_plainly(model, view, 0.0, 0.1).items()})
    assert "aten.t.default" in seen.names
    assert not any("backward" in name for name in seen.names)


def test_metrics_are_those_of_all_logits(small_chunks: None) -> None:
    model, objective, view = Model(bias=True), make_objective(label_smoothing=0.1), make_view()
    found = []
    for predict in (objective.predict, objective.predict_deferred):
        evaluation = Evaluation(objective, "pairs", VOCABULARY, 0)
        with torch.no_grad():
            evaluation.update(*predict(model, view), view)
        found.append(evaluation.compute())
    assert found[0] == pytest.approx(found[1], rel=1e-6)
    logits = model.logits(model.compute_hidden(view.inputs))[0]
    assert found[1]["loss"] == pytest.approx(float(F.cross_entropy(logits, view.targets[0]).detach()), rel=1e-6)
    assert found[1]["token_accuracy"] == pytest.approx(float((logits.argmax(-1) == view.targets[0]).float().mean()))


@pytest.mark.parametrize("training", [True, False])
def test_no_tensor_has_the_size_of_all_logits(training: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the vocabulary of GPT-2: nothing is larger than a chunk of 300 rows or the weight."""
    rows, vocabulary = 640, 50_304
    view, model = make_view(rows=rows, vocabulary=vocabulary), Model(vocabulary, bias=True)
    objective = make_objective(vocabulary)
    evaluation = Evaluation(objective, "documents", vocabulary, 0)

    def measure() -> int:
        with torch.set_grad_enabled(training), Largest() as seen:
            if training:
                torch.stack(list(objective.loss(model, view).values())).sum().backward()  # type: ignore[no-untyped-call]
            else:
                evaluation.update(*objective.predict_deferred(model, view), view)
        return seen.elements

    assert measure() <= 2**26 // 4 < rows * vocabulary
    monkeypatch.setattr(module, "_CHUNK_BYTES", 2**40)
    assert measure() == rows * vocabulary, "control: in one chunk"


class Doubled(CausalLm):  # type: ignore[misc]
    """An objective of a third party, with logits of its own."""

    def predict(self, model: LanguageModel, view: View) -> tuple[Tensor, Tensor]:
        logits, targets = super().predict(model, view)
        return 2 * logits, targets


def test_an_objective_that_overrides_predict_is_trained_and_evaluated_by_it(small_chunks: None) -> None:
    model, view = Model(), make_view()
    objective: Objective = Doubled(DIM, Vocabulary(VOCABULARY, 0, 1, 2, 3, 4, 5, ()), "decoder")
    logits = 2 * model.logits(model.compute_hidden(view.inputs))[0]
    expected = F.cross_entropy(logits, view.targets[0])
    torch.testing.assert_close(objective.loss(model, view)["cross_entropy"], expected)
    evaluation = Evaluation(objective, "documents", VOCABULARY, 0)
    evaluation.update(*objective.predict_deferred(model, view), view)
    assert evaluation.compute()["loss"] == pytest.approx(float(expected.detach()), rel=1e-6)


def test_all_logits_are_split_into_nothing_else() -> None:
    logits, targets = torch.randn(5, 7), torch.arange(5)
    ((one, other),) = split_logits(logits, targets)
    assert one is logits
    assert other is targets
    assert sum_terms(logits, targets, lambda one, other: (one.sum() + other.sum(),)) == (logits.sum() + 10,)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0])
def test_valid_places_are_listed_before_a_view_is_moved(share: float) -> None:
    """On an accelerator, listing them would wait for the device; all places need no list and no copy."""
    valid = torch.rand(1, ROWS, generator=torch.Generator().manual_seed(2)) < share
    view = make_view(valid).to(torch.device("cpu"))
    hidden = torch.randn(1, ROWS, 3)
    with Largest() as seen:
        found = view.select_valid(hidden)
    assert torch.equal(found, hidden[valid])
    assert not seen.names & {"aten.nonzero.default", "aten.index.Tensor"}
    assert (found.data_ptr() == hidden.data_ptr()) == (share == 1.0)
    fewer: Callable[[], View] = lambda: replace(view, valid=torch.zeros_like(valid))  # noqa: E731
    assert len(fewer().select_valid(hidden)) == 0
    with Largest() as seen:  # control
        hidden[valid]
    assert "aten.index.Tensor" in seen.names

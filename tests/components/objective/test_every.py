"""What every objective keeps, for every variant and form of data that it makes sense for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from zoo.checks import Refused
from zoo.data.batch import Batch, DocumentBatch, PairBatch
from zoo.data.interfaces import Vocabulary
from zoo.model.build import VARIANTS, build
from zoo.model.inputs import Inputs
from zoo.model.objective import Objective, View
from zoo.model.variants.variant import Variant
from zoo.registry import get_index
from zoo.testing.objective_checks import prepare

CASES = [
    (name, *combination)
    for name in get_index().get_names("objective")
    for combination in sorted(get_index().get("objective", name).load().combines)  # type: ignore[attr-defined]
]
every = pytest.mark.parametrize(("name", "variant", "form"), CASES, ids=["-".join(case) for case in CASES])


@pytest.fixture
def objective(name: str, variant: str, vocabulary: Vocabulary) -> Objective:
    made = get_index().get("objective", name).load()(16, vocabulary, variant)
    assert isinstance(made, Objective)
    return made


@pytest.fixture
def batch(
    objective: Objective,
    form: str,
    documents: Callable[..., Any],
    pairs: Callable[..., Any],
    vocabulary: Vocabulary,
    generator: torch.Generator,
) -> Batch:
    made: Batch
    if form == "documents":
        made = documents([[9, 4, 8], [21], [2, 3, 3], [12, 7]], vocabulary)
        return made
    made = pairs([(5, 4), (1, 1), (8, 6), (3, 7)], vocabulary)
    try:
        prepare(objective, made)
    except Refused:  # it takes targets of one token only
        made = pairs([(5, 2), (1, 2), (8, 2), (3, 2), (6, 2)], vocabulary)
    return made


@pytest.fixture
def model(variant: str, built: Callable[..., Variant]) -> Variant:
    return built(variant)


def tensors(view: View) -> dict[str, Any]:
    found = {item.name: getattr(view.inputs, item.name) for item in fields(Inputs)}
    return found | {"targets": view.targets, "valid": view.valid} | dict(view.extra)


def equal(one: View, other: View) -> bool:
    pairs = zip(tensors(one).values(), tensors(other).values(), strict=True)
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)


def test_every_combination_is_of_a_variant_and_a_form() -> None:
    for name in get_index().get_names("objective"):
        for variant, form in get_index().get("objective", name).load().combines:  # type: ignore[attr-defined]
            assert variant in VARIANTS
            assert form in ("documents", "pairs")


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("form", ["documents", "pairs"])
def test_the_default_of_a_variant_makes_sense_for_it(variant: str, form: str) -> None:
    cls: Any = get_index().get("objective", VARIANTS[variant].default_objectives[form]).load()
    assert (variant, form) in cls.combines


@every
def test_a_view_is_of_one_shape_and_asks_for_real_tokens(
    objective: Objective, batch: Batch, variant: str, vocabulary: Vocabulary, generator: torch.Generator
) -> None:
    view = prepare(objective, batch)
    shape = view.inputs.tokens.shape
    assert view.targets.shape == view.valid.shape == shape
    assert (view.inputs.source is not None) == (variant == "encoder_decoder")
    assert view.valid.dtype == torch.bool
    assert view.valid.any()
    asked = set(view.targets[view.valid].tolist())
    assert not asked & {vocabulary.pad, vocabulary.mask, vocabulary.sep}
    if view.inputs.segment is not None:
        assert view.inputs.segment.shape == shape
        assert (view.inputs.segment[view.valid] >= 0).all(), "no padding is asked"
    if isinstance(batch, DocumentBatch):
        assert shape[1] <= objective.get_max_length(batch.tokens.shape[1] - 1)


@every
def test_randomness_comes_from_the_generator(objective: Objective, batch: Batch) -> None:
    torch.manual_seed(0)
    views = [prepare(objective, batch, seed) for seed in (1, 1, 2)]
    assert equal(views[0], views[1])
    state = torch.get_rng_state()
    prepare(objective, batch)
    assert torch.equal(torch.get_rng_state(), state)
    before = torch.Generator().manual_seed(1)
    drawn = [torch.Generator().manual_seed(1) for _ in range(batch.rows)]
    objective.prepare(replace(batch, partner=batch) if objective.needs_partner else batch, drawn)
    if all(torch.equal(before.get_state(), used.get_state()) for used in drawn):
        assert equal(views[0], views[2]), "nothing was drawn, so nothing may differ"


@every
def test_a_batch_is_not_changed(objective: Objective, batch: Batch, generator: torch.Generator) -> None:
    parts = [part for item in fields(batch) if (part := getattr(batch, item.name)) is not None]
    before = [part.clone() for part in parts]
    prepare(objective, batch)
    assert all(torch.equal(a, b) for a, b in zip(before, parts, strict=True))


@every
def test_training_lowers_a_finite_loss(
    objective: Objective, batch: Batch, variant: str, tiny: Callable[..., dict[str, Any]], generator: torch.Generator
) -> None:
    model, view = build(tiny(variant), 32, seed=0), prepare(objective, batch)
    optimizer = torch.optim.Adam([*model.parameters(), *objective.parameters()], 0.01)
    losses = []
    for _ in range(5):
        loss = sum(objective.loss(model, view).values())
        assert isinstance(loss, Tensor)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert all(torch.tensor(losses).isfinite())
    assert losses[-1] < losses[0]
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    idle += [name for name, p in objective.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle, "every part of the model and of the objective is used"


@every
def test_the_loss_is_the_mean_cross_entropy_of_the_asked_places(
    objective: Objective, batch: Batch, model: Variant, generator: torch.Generator
) -> None:
    """Further terms, and answers that are not the model's own, have tests of their own."""
    if type(objective).predict is not Objective.predict:
        return
    view = prepare(objective, batch)
    logits = model.logits(model.compute_hidden(view.inputs))
    total = [
        torch.logsumexp(logits[b, i], 0) - logits[b, i, view.targets[b, i]]
        for b in range(len(view.targets))
        for i in range(view.targets.shape[1])
        if view.valid[b, i]
    ]
    torch.testing.assert_close(objective.loss(model, view)["cross_entropy"], torch.stack(total).mean())


@every
def test_logits_at_an_asked_place_do_not_know_the_answer(
    objective: Objective, batch: Batch, model: Variant, vocabulary: Vocabulary
) -> None:
    """Another answer in the batch, the same draws: what is said at that place stays the same.

    Where tokens are masked, few places may show the answer by design: the tenth of the chosen that is left. What is
    not asked for a token, but about one that is read, has a test of its own.
    """
    if isinstance(batch, DocumentBatch) and objective.needs_partner:
        batch = replace(batch, partner=batch.select([1, 2, 3, 0]))  # which stays as it is when a row is changed
    fields_of = "tokens" if isinstance(batch, DocumentBatch) else "target"
    original = getattr(batch, fields_of)
    checked = shown = 0
    for seed in range(3):
        view = prepare(objective, batch, seed)
        said = objective.predict(model, view)[0]
        if said.shape[1] != vocabulary.size:
            return
        for row, column in (original >= 14).nonzero().tolist():  # special tokens have their places by rule
            changed = original.clone()
            changed[row, column] = 14 + (changed[row, column] - 14 + 1) % (vocabulary.size - 14)
            other = prepare(objective, replace(batch, **{fields_of: changed}), seed)
            assert torch.equal(other.valid, view.valid), "what is asked does not depend on the text"
            asked = (other.targets != view.targets) & view.valid
            assert int(asked.sum()) <= 1, "each token is asked for once"
            if not asked.any():
                continue
            checked += 1
            own = asked[view.valid]
            shown += not torch.equal(objective.predict(model, other)[0][own], said[own])
        if not (view.inputs.tokens == vocabulary.mask).any():
            assert shown == 0
            break
    assert checked >= 5
    assert shown <= 0.2 * checked


@every
def test_the_search_for_leaks_finds_one(
    objective: Objective, batch: Batch, model: Variant, generator: torch.Generator
) -> None:
    """Control: a model that reads the targets is found out by the same comparison."""
    view = prepare(objective, batch)
    leaking = replace(view.inputs, tokens=torch.where(view.valid, view.targets, view.inputs.tokens))
    other = view.targets.clone()
    other[view.valid] = 14 + (other[view.valid] + 1) % 18
    changed = replace(view.inputs, tokens=torch.where(view.valid, other, view.inputs.tokens))
    assert not torch.equal(model.compute_hidden(leaking)[view.valid], model.compute_hidden(changed)[view.valid])


@every
def test_a_batch_that_asks_for_nothing_has_no_loss(
    objective: Objective, batch: Batch, model: Variant, generator: torch.Generator
) -> None:
    view = prepare(objective, batch)
    nothing = replace(view, valid=torch.zeros_like(view.valid))
    assert float(sum(objective.loss(model, nothing).values()).detach()) == 0.0  # type: ignore[union-attr]


@every
def test_pairs_ask_for_the_whole_target_and_nothing_else(
    objective: Objective, batch: Batch, generator: torch.Generator
) -> None:
    if not isinstance(batch, PairBatch):
        return
    view = prepare(objective, batch)
    for row in range(batch.rows):
        target = batch.target[row, : batch.target_length[row]].tolist()
        asked = view.targets[row][view.valid[row]].tolist()
        assert asked == (target if type(objective).predict is Objective.predict else target[:-1]), "a class has no end"


@every
def test_smoothing_and_z_loss_are_those_of_the_answers(
    name: str, batch: Batch, variant: str, model: Variant, vocabulary: Vocabulary
) -> None:
    """Against torch's cross-entropy and the formula of the z-loss, for every objective that has them."""
    cls: Any = get_index().get("objective", name).load()
    if "z_loss" not in {option.name for option in get_index().get("objective", name).options}:
        return
    torch.manual_seed(0)
    objective = cls(16, vocabulary, variant, label_smoothing=0.1, z_loss=0.5)
    torch.manual_seed(0)
    plain = cls(16, vocabulary, variant)
    view = prepare(objective, batch)
    logits, targets = plain.predict(model, view)
    terms, without = objective.loss(model, view), plain.loss(model, view)
    assert set(terms) == {*without, *(name for name in terms if name.endswith("z_loss"))} > set(without)
    smoothed = torch.nn.functional.cross_entropy(logits, targets, label_smoothing=0.1)
    torch.testing.assert_close(terms["cross_entropy"], smoothed)
    torch.testing.assert_close(terms["z_loss"], 0.5 * (logits.exp().sum(-1).log() ** 2).mean())
    with pytest.raises(Refused, match=r"z_loss must be between 0.0 and 1.0: got z_loss=-0.1"):
        cls(16, vocabulary, variant, z_loss=-0.1)


@every
@pytest.mark.parametrize("mixed", [True, False])
def test_losses_are_finite_in_bfloat16(
    mixed: bool, objective: Objective, batch: Batch, variant: str, tiny: Callable[..., Any], generator: torch.Generator
) -> None:
    """Weights in bfloat16, or products only."""
    dtype = torch.float32 if mixed else torch.bfloat16
    model, view = build(tiny(variant), 32, seed=0).to(dtype), prepare(objective.to(dtype), batch)
    with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
        loss = torch.stack(list(objective.loss(model, view).values())).sum()
    assert loss.dtype == torch.float32
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in [*model.parameters(), *objective.parameters()])


class Rows(TorchDispatchMode):
    """Records the largest number of rows of products, softmaxes and sums that are as wide as the vocabulary."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width, self.rows = width, 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        computed = any(name in str(function) for name in ("mm", "softmax", "cumsum", "mul"))
        if computed and isinstance(out, Tensor) and out.ndim == 2 and out.shape[1] == self.width:
            self.rows = max(self.rows, len(out))
        return out


@every
def test_logits_in_chunks_change_no_loss_and_no_gradient(
    name: str,
    batch: Batch,
    variant: str,
    tiny: Callable[..., Any],
    vocabulary: Vocabulary,
    lively: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In chunks of two rows no logits have more; the control, in one chunk, has those of all rows."""
    vocabulary = replace(vocabulary, size=37)
    objective: Any = get_index().get("objective", name).load()(16, vocabulary, variant)
    model, found = build(tiny(variant), vocabulary.size, seed=0).eval(), []
    for module in (model, objective):
        lively(module)
    view = prepare(objective, batch)
    for chunk in (1000, 2):
        monkeypatch.setattr("zoo.model.logits._CHUNK_BYTES", 4 * vocabulary.size * chunk)
        parameters = [*model.parameters(), *objective.parameters()]
        with Rows(vocabulary.size) as seen:
            terms = objective.loss(model, view)
            gradients = torch.autograd.grad(sum(terms.values()), parameters, allow_unused=True)
        found.append((terms, gradients))
        if name != "classification":  # whose classes are tokens, without the head of the model
            assert (seen.rows > 2) == (chunk == 1000)
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)

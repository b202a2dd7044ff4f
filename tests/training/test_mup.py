"""μP: what is learned in a few steps does not grow with the width, and the groups of the optimiser that see to it."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest
import torch
import torch.nn.functional as F

from zoo.checks import Refused
from zoo.components.initialization.mup import MaximalUpdate
from zoo.components.initialization.normal import Normal
from zoo.components.objective.causal_lm import CausalLm
from zoo.components.objective.classification import Classification
from zoo.data.interfaces import Vocabulary
from zoo.model.build import build
from zoo.model.inputs import Inputs
from zoo.model.objective import Objective
from zoo.model.variants.variant import Variant
from zoo.registry import get_index
from zoo.training.evaluation import Evaluation
from zoo.training.lightning_module import Training

Tiny = Callable[..., dict[str, Any]]
WIDTHS = (32, 64, 128, 256)
MUP = {"name": "mup", "base_dim": 32, "std": 0.1}
NORMAL = {"name": "normal", "std": 0.1}


def trained(model: Variant, vocabulary: Vocabulary, objective: Objective | None = None) -> Training:
    objective = objective or CausalLm(model.embedding.dim, vocabulary, "decoder")
    optimizer = partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.1)
    return Training(model, objective, cast("Evaluation", None), optimizer, lambda step: 1 / (1 + step), seed=0)


# -------------------------------------------------------------------------------------------------- coordinate check


def moved(width: int, how: dict[str, Any], tied: bool, tiny: Tiny, vocabulary: Vocabulary) -> tuple[float, float]:
    """Root mean squares of the change of hidden states and of logits, from four steps on one batch (seed 0)."""
    config = tiny(dim=width, hidden=4 * width, heads=width // 16, head={"tied": tied}, initialization=how)
    model = build(config, 32, seed=0)
    module = trained(model, vocabulary)
    (optimizer,), _ = module.configure_optimizers()
    tokens = torch.randint(6, 32, (8, 17), generator=torch.Generator().manual_seed(0))
    states: list[torch.Tensor] = []
    assert model.reader.final_norm is not None
    model.reader.final_norm.register_forward_pre_hook(lambda norm, given: states.append(given[0].detach()))
    logits = []
    for _ in range(5):
        out = model.logits(model.compute_hidden(Inputs(tokens[:, :-1])))
        logits.append(out.detach())
        F.cross_entropy(out.flatten(0, 1), tokens[:, 1:].flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()
    changes = [float((kept[-1] - kept[0]).square().mean().sqrt()) for kept in (states, logits)]
    return changes[0], changes[1]


@pytest.mark.parametrize("tied", [True, False])
def test_what_is_learned_does_not_grow_with_the_width(tied: bool, tiny: Tiny, vocabulary: Vocabulary) -> None:
    """Negative control: with equal rates for all, both grow with each doubling."""
    same = [moved(width, MUP, tied, tiny, vocabulary) for width in WIDTHS]
    grown = [moved(width, NORMAL, tied, tiny, vocabulary) for width in WIDTHS]
    for what in range(2):
        steady, growing = [pair[what] for pair in same], [pair[what] for pair in grown]
        assert max(steady) / min(steady) < 1.6
        assert growing == sorted(growing)
        assert growing[-1] / growing[0] > 3


# ------------------------------------------------------------------------------------------------- rates and shapes

TABLES = re.compile(r"(table|types|values)\.weight$|^model\.head\.weight$")  # a row for each thing
KINDS = ("attention", "ffn", "norm", "position", "residual", "objective")
ENTRIES = [(kind, name) for kind in KINDS for name in get_index().get_names(kind)]


def rates(kind: str, name: str, width: int, tiny: Tiny, vocabulary: Vocabulary) -> dict[str, tuple[Any, float]]:
    """Shape and learning rate of every parameter, of the first model that takes the component."""
    chosen: Any = get_index().get(kind, name).load()
    variants = sorted({variant for variant, _ in chosen.combines}) if kind == "objective" else ["decoder", "encoder"]
    part = {} if kind == "objective" else {kind: {"name": name}}
    sizes = {"dim": width, "hidden": 2 * width, "heads": width // 8, "head": {"tied": False}, "initialization": MUP}
    for variant, position in itertools.product(variants, ("sinusoidal", "none")):
        with contextlib.suppress(Refused), torch.device("meta"):
            model = build(tiny(variant, **{"position": {"name": position}, **sizes, **part}), 32)
            objective = chosen(width, vocabulary, variant) if kind == "objective" else None
            module = trained(model, vocabulary, objective)
            (optimizer,), _ = module.configure_optimizers()
            rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
            named = ((name, p) for name, p in module.named_parameters() if p.requires_grad)
            return {name: (p.shape, rate[id(p)]) for name, p in named}
    raise AssertionError("no model takes it")


@pytest.mark.parametrize(("kind", "name"), ENTRIES, ids=["-".join(entry) for entry in ENTRIES])
def test_rates_fall_as_the_inputs_of_a_matrix_grow(kind: str, name: str, tiny: Tiny, vocabulary: Vocabulary) -> None:
    """By shapes alone: where both sides of a parameter grow, or only its inputs do and it is no table."""
    small, large = (rates(kind, name, width, tiny, vocabulary) for width in (32, 128))
    for path, (shape, rate) in large.items():
        grows = [int(new > old) for new, old in zip(shape, small[path][0], strict=True)]
        falls = len(shape) > 1 and grows[-1] and not TABLES.search(path)
        assert rate / small[path][1] == pytest.approx(1 / 4 if falls else 1), path


def test_readouts_of_an_objective_begin_as_small_as_logits(vocabulary: Vocabulary) -> None:
    """Of standard deviation std * base_dim / inputs; other schemes leave them as they are."""
    for how, std in ((MaximalUpdate(std=0.1, base_dim=32), 0.1 * 32 / 1024), (Normal(), (3 * 1024) ** -0.5)):
        objective = Classification(1024, vocabulary, "encoder")
        how.initialize_readouts(objective)
        assert objective.classes.weight.std().item() == pytest.approx(std, rel=0.03)


# -------------------------------------------------------------------------------------------------- logits and groups


def test_logits_are_divided_by_the_width(tiny: Tiny) -> None:
    x = torch.randn(3, 16)
    for options, inputs in (({}, 16), ({"embedding": {"width": 8}}, 8), ({"head": {"tied": False}}, 16)):
        head: Any = build(tiny(**options, initialization={"name": "mup", "base_dim": 4}), 32).head
        mapped = x if head.map is None else head.map(x)
        torch.testing.assert_close(head(x), mapped @ head.weight.T * 4 / inputs)


def groups_of(config: dict[str, Any], vocabulary: Vocabulary) -> tuple[Variant, list[dict[str, Any]]]:
    model = build(config, 32)
    (optimizer,), _ = trained(model, vocabulary).configure_optimizers()
    return model, optimizer.param_groups


def test_groups_have_their_rate_and_equal_decay_per_step(tiny: Tiny, vocabulary: Vocabulary) -> None:
    """dim 16, hidden 24: matrices with 16 inputs, with 24 inputs, tables, vectors."""
    config = tiny(position={"name": "learned", "length": 8}, initialization={"name": "mup", "base_dim": 4})
    model, groups = groups_of(config, vocabulary)
    found = {(group["lr"], group["weight_decay"]): group["params"] for group in groups}
    assert len(found) == len(groups) == 4
    for (rate, decay), members in found.items():
        shapes = {tuple(parameter.shape) for parameter in members}
        if decay == 0:
            assert rate == 1e-2
            assert all(len(shape) == 1 for shape in shapes)
        else:
            assert rate * decay == pytest.approx(1e-3)
        if rate == 1e-2 and decay:
            assert shapes == {(32, 16), (8, 16)}
        if rate == pytest.approx(1e-2 * 4 / 16):
            assert shapes == {(16, 16), (24, 16)}
        if rate == pytest.approx(1e-2 * 4 / 24):
            assert shapes == {(16, 24)}
    assert sum(len(members) for members in found.values()) == len(list(model.parameters()))


def test_the_schedule_keeps_the_ratio_of_the_rates(tiny: Tiny, vocabulary: Vocabulary) -> None:
    module = trained(build(tiny(initialization={"name": "mup", "base_dim": 4}), 32), vocabulary)
    (optimizer,), (scheduled,) = module.configure_optimizers()
    schedule = scheduled["scheduler"]
    first = [group["lr"] for group in optimizer.param_groups]
    for _ in range(3):
        optimizer.step()
        schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([rate / 4 for rate in first])


@pytest.mark.parametrize("scheme", ["normal", "gpt2", "xavier", "small", "scaled"])
def test_other_schemes_have_two_groups(scheme: str, tiny: Tiny, vocabulary: Vocabulary) -> None:
    """Matrices, then vectors: what optimiser states of earlier runs were written for."""
    model, groups = groups_of(tiny(initialization={"name": scheme}), vocabulary)
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    assert [list(map(id, group["params"])) for group in groups] == [list(map(id, matrices)), list(map(id, vectors))]
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(1e-2, 0.1), (1e-2, 0.0)]

"""Every configuration trains a step or is refused with a reason; there is no third outcome.

``make fuzz`` draws 20,000; ZOO_DRAWS sets another number.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.configurations import runs
from zoo.build import assemble
from zoo.checking import check_run, make_objective
from zoo.config import compose_run
from zoo.data.batch import Batch
from zoo.plan import ModelPlan
from zoo.testing.asking import PAIRS, VOCABULARY, documents, pairs
from zoo.testing.subject import TOKENS, enliven

DRAWS = int(os.environ.get("ZOO_DRAWS", "2000"))
SHARDS = 8
PERTURBATIONS = 10
DATA = {
    "documents": {"name": "pydocs", "length": 32, "tokenizer": {"name": "bytes"}},
    "pairs": {"name": "numbers", "length": 32, "tokenizer": {"name": "bytes"}},
}


@functools.cache
def base() -> dict[str, Any]:
    return compose_run(["trainer=cpu", "precision=32-true"])


def batch(form: str, objective: Any) -> Batch:
    generator = torch.Generator().manual_seed(0)
    if form == "documents":
        return documents(generator)
    one_token = objective.one_token_targets
    return pairs([(source, 1 if one_token else target) for source, target in PAIRS], generator)


def train_a_step(config: dict[str, Any], plan: ModelPlan, form: str) -> None:
    """Finite loss, and a gradient for every parameter, once weights are perturbed.

    One draw of weights may leave a ReLU dead; a parameter that gets no gradient in any draw is useless.
    """
    idle: set[str] | None = None
    for perturbation in range(PERTURBATIONS):
        found = _idle(config, plan, form, perturbation)
        idle = found if idle is None else idle & found
        if not idle:
            return
    raise AssertionError(f"no gradient: {sorted(idle or ())}")


def _idle(config: dict[str, Any], plan: ModelPlan, form: str, perturbation: int) -> set[str]:
    """Take one step; the parameters that got no gradient."""
    torch.manual_seed(perturbation)
    model, objective = assemble(plan, TOKENS), make_objective(config, VOCABULARY)
    if not objective.uses_head:
        model.rest_head()
    for module in (model, objective):
        enliven(module, perturbation)
        module.double().train()
    view = objective.prepare(batch(form, objective), torch.Generator().manual_seed(0))
    terms = list(objective.loss(model, view).values())
    terms += [term for component in model.components() for term in component.losses().values()]
    total = torch.stack([term.double() for term in terms]).sum()
    assert total.isfinite(), f"loss {float(total)}"
    total.backward()
    trained = {
        f"{part}.{name}": p
        for part, module in (("model", model), ("objective", objective))
        for name, p in module.named_parameters()
        if p.requires_grad
    }
    infinite = [name for name, p in trained.items() if p.grad is not None and not p.grad.isfinite().all()]
    assert not infinite, f"gradient not finite: {infinite}"
    torch.optim.AdamW(list(trained.values())).step()
    for component in model.components():
        component.after_step()
    assert all(p.isfinite().all() for p in trained.values())
    return {name for name, p in trained.items() if p.grad is None or not p.grad.any()}


@pytest.mark.parametrize("shard", range(SHARDS))
def test_a_configuration_trains_or_is_refused(shard: int) -> None:
    counts: Counter[str] = Counter()

    @seed(shard)
    @settings(
        max_examples=DRAWS // SHARDS,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(runs())
    def draw(run: dict[str, Any]) -> None:
        checked = check_run({**base(), "model": run["model"], "objective": run["objective"], "data": DATA[run["form"]]})
        if checked.problems:
            counts["refused"] += 1
            for line in checked.problems:
                path, colon, reason = line.partition(": ")
                assert path.startswith(("model", "objective"))
                assert colon
                assert len(reason.split()) > 2, line
            return
        assert checked.plan is not None
        counts["trained"] += 1
        train_a_step(checked.config, checked.plan, run["form"])

    draw()
    print(dict(counts))
    assert counts["trained"] > 0.1 * (counts["trained"] + counts["refused"]), f"too few were trained: {counts}"

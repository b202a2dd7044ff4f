"""Every configuration trains a step or is refused with a reason; there is no third outcome.

``make fuzz`` draws 20,000; ZOO_DRAWS sets another number.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.configurations import runs
from zoo.config.checking import check_run
from zoo.config.compose import compose_run
from zoo.config.data_and_objective import make_objective
from zoo.data.batch import Batch
from zoo.model.build import assemble
from zoo.model.objective import Objective
from zoo.model.plan import ModelPlan
from zoo.model.variants.variant import Variant
from zoo.runs.run_config import RunConfig
from zoo.testing.objective_checks import VOCABULARY, make_documents, make_pairs, prepare
from zoo.testing.subject import TOKENS, perturb

DRAWS = int(os.environ.get("ZOO_DRAWS", "2000"))
SHARDS = 8
PERTURBATIONS = 10
DATA = {
    "documents": {"name": "pydocs", "length": 64, "tokenizer": {"name": "bytes"}},
    "pairs": {"name": "numbers", "length": 64, "tokenizer": {"name": "bytes"}},
}


@functools.cache
def base() -> dict[str, Any]:
    return compose_run(["trainer=cpu", "precision=32-true"])


def batch(form: str, objective: Any) -> Batch:
    """Rows long enough that what is written of a document has several blocks, windows and experts."""
    generator = torch.Generator().manual_seed(0)
    if form == "documents":
        return make_documents(generator, ((48,), (20, 24)))
    one_token = objective.one_token_targets
    return make_pairs([(source, 1 if one_token else target) for source, target in ((5, 20), (16, 12))], generator)


def train_a_step(config: RunConfig, plan: ModelPlan, form: str) -> None:
    """Finite loss with the first weights, and a gradient for every parameter once they are perturbed.

    One draw of weights may leave a ReLU dead, or saturate and overflow where nothing is normed; a parameter that gets
    no gradient in any draw is useless.
    """
    model, objective = made(config, plan, 0)
    assert bool(step(model, objective, form).isfinite()), "loss not finite"
    idle: set[str] | None = None
    for perturbation in range(PERTURBATIONS):
        model, objective = made(config, plan, perturbation)
        for module in (model, objective):
            perturb(module, perturbation, 0.3 / 3 ** (perturbation % 4))
        if not step(model, objective, form).isfinite():
            continue
        found = {name for name, p in trained(model, objective) if p.grad is None or not p.grad.any()}
        idle = found if idle is None else idle & found
        if not idle:
            return
    raise AssertionError("no finite loss" if idle is None else f"no gradient: {sorted(idle)}")


def made(config: RunConfig, plan: ModelPlan, seed: int) -> tuple[Variant, Objective]:
    """Model and objective in training mode and float64."""
    torch.manual_seed(seed)
    model, objective = assemble(plan, TOKENS).double().train(), make_objective(config, VOCABULARY).double().train()
    if not objective.uses_head:
        model.freeze_head()
    model.freeze_pooler()
    return model, objective


def trained(model: Variant, objective: Objective) -> Iterator[tuple[str, torch.nn.Parameter]]:
    for part, module in (("model", model), ("objective", objective)):
        for name, parameter in module.named_parameters():
            if parameter.requires_grad:
                yield f"{part}.{name}", parameter


def step(model: Variant, objective: Objective, form: str) -> torch.Tensor:
    """The loss before the step; weights are finite after it where the loss is."""
    view = prepare(objective, batch(form, objective))
    terms = list(objective.loss(model, view).values())
    terms += [term for _, term, _ in model.losses()]
    total = torch.stack([term.double() for term in terms]).sum()
    total.backward()
    torch.optim.AdamW([p for _, p in trained(model, objective)]).step()
    for component in model.list_components():
        component.update_after_step()
    if total.isfinite():
        broken = [name for name, p in trained(model, objective) if not p.isfinite().all()]
        assert not broken, f"not finite after a step: {broken}"
    return total.detach()


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

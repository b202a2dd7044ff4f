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
    """Finite loss, and a gradient for every parameter, once weights are perturbed."""
    torch.manual_seed(0)
    model, objective = assemble(plan, TOKENS), make_objective(config, VOCABULARY)
    for module in (model, objective):
        enliven(module)
        module.double().train()
    if not objective.uses_head:
        model.rest_head()
    view = objective.prepare(batch(form, objective), torch.Generator().manual_seed(0))
    terms = dict(objective.loss(model, view))
    for component in model.components():
        for name, term in component.losses().items():
            terms[name] = terms.get(name, torch.zeros(())) + term
    total = torch.stack([term.double() for term in terms.values()]).sum()
    assert total.isfinite(), f"loss {float(total)}"
    total.backward()
    trained = [(n, p) for module in (model, objective) for n, p in module.named_parameters() if p.requires_grad]
    assert not [name for name, p in trained if p.grad is not None and not p.grad.isfinite().all()], "not finite"
    assert not (idle := [name for name, p in trained if p.grad is None or not p.grad.any()]), f"no gradient: {idle}"
    torch.optim.AdamW([p for _, p in trained]).step()
    for component in model.components():
        component.after_step()
    assert all(p.isfinite().all() for _, p in trained)


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

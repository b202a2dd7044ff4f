"""Checks of initializations: initial weights, options, and learning rates that transfer across widths (μP)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from zoo.data.batch import Batch
from zoo.model.build import build
from zoo.model.interfaces import Attention, FeedForward
from zoo.model.objective import Objective, View
from zoo.model.parameter_roles import get_parameter_roles
from zoo.model.variants.variant import Variant
from zoo.registry import get_index
from zoo.testing.kit import check, fail_unless
from zoo.testing.objective_checks import VOCABULARY, make_batch, make_documents, make_pairs, prepare
from zoo.testing.subject import SMALL, TOKENS, Subject, build_component, build_config, list_numbers
from zoo.training.optimizer import build_optimizer

WIDTHS = (64, 256)
GROWTH = 1.5
"""Largest accepted ratio of what training changes at the larger width to what it changes at the smaller one: near 1
under μP, about 3.5 with equal rates for all matrices."""
_STEPS, _RATE = 3, 2e-3
_HEAD_DIM = 16


@check("initialization", "draws of initialize_matrix and initialize_table that do not come from torch's generator")
def check_initial_weights_are_reproducible(subject: Subject) -> None:
    """Equal seeds give equal initial weights, other seeds others; all are finite, and biases start at zero."""
    one, same, other = (_build_plain(subject.part, SMALL["dim"], seed) for seed in (0, 0, 1))
    states = [model.state_dict() for model in (one, same, other)]
    broken = [name for name, value in states[0].items() if not bool(value.isfinite().all())]
    fail_unless(not broken, "finite first weights", f"others in {', '.join(broken)}")
    fail_unless(_are_equal(states[0], states[1]), "equal first weights from equal seeds", "different ones")
    fail_unless(not _are_equal(states[0], states[2]), "other first weights from another seed", "the same")
    biases = [name for name, value in states[0].items() if name.endswith("bias") and bool(value.any())]
    fail_unless(not biases, "biases that begin at zero", f"others in {', '.join(biases)}")


@check("initialization", "where the option is used")
def check_every_initialization_option_has_an_effect(subject: Subject) -> None:
    """Every numeric option changes initial weights or the factor of a learning rate."""
    plain = _build_plain(subject.part, SMALL["dim"], 0)
    for option in subject.entry.options:
        for value in list_numbers(option):
            changed = _build_plain({**subject.part, option.name: value}, SMALL["dim"], 0)
            rates = [model.initialization.compute_rate_factor(SMALL["dim"]) for model in (plain, changed)]
            same = _are_equal(plain.state_dict(), changed.state_dict()) and rates[0] == rates[1]
            fail_unless(not same, f"other weights or rates with {option.name}={value}", "the same")


@check(
    "initialization", "compute_rate_factor, and first weights by the number of inputs", when=lambda s: _transfers(s.cls)
)
def check_learning_rates_transfer(subject: Subject) -> None:
    """Changes by the first training steps do not grow with the width."""
    _fail_if_growing(subject.entry.name, {}, None, None)


@check(
    "model",
    "roles: matrices that the optimizer takes for something else; sums over features that nothing divides",
    defaults=True,
    when=lambda subject: subject.is_first and _owns_matrices(subject),
)
def check_learning_rates_transfer_across_widths(subject: Subject) -> None:
    """Changes by the first training steps do not grow with the width, under initializations that promise it."""
    for name in _transferring():
        _fail_if_growing(name, build_config(subject.entry.kind, subject.part, subject.place), None, None)


@check("objective", "roles: heads of the objective that are no readouts", after=("loss_is_trainable",))
def check_learning_rates_transfer_to_objective_heads(subject: Subject) -> None:
    """Changes by the first training steps do not grow with the width in the heads of the objective."""
    for name in _transferring():
        config = {"variant": subject.place.split()[0], "embedding": {"token_types": 2}}
        _fail_if_growing(name, config, subject, make_batch(subject))


def _transfers(cls: Any) -> bool:
    return bool(getattr(cls, "transfers_rates", False))


def _transferring() -> Iterator[str]:
    return (
        name
        for name in get_index().get_names("initialization")
        if _transfers(get_index().get("initialization", name).load())
    )


def _owns_matrices(subject: Subject) -> bool:
    return any(
        role in ("matrix", "readout")
        for part in subject.meta.modules()
        if type(part) is subject.cls
        for role in get_parameter_roles(part).values()
    )


def _build_plain(part: Mapping[str, Any], dim: int, seed: int) -> Variant:
    return build({"variant": "decoder", **SMALL, "dim": dim, "initialization": dict(part)}, TOKENS, seed=seed)


def _are_equal(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def _fail_if_growing(name: str, config: Mapping[str, Any], asking: Subject | None, rows: Batch | None) -> None:
    changes = [_train(width, name, config, asking, rows) for width in WIDTHS]
    for place in changes[0]:
        small, large = (change[place] for change in changes)
        fail_unless(
            large <= GROWTH * small,
            f"{place} that change about as much at dim={WIDTHS[1]} as at dim={WIDTHS[0]} under {name}",
            f"root mean squares of {small:.3g} and {large:.3g} after {_STEPS} steps",
        )


def _train(
    width: int, name: str, config: Mapping[str, Any], asking: Subject | None, rows: Batch | None
) -> dict[str, float]:
    """Returns the root mean squares of what a few steps change at one width, by what is looked at."""
    sizes = {"dim": width, "heads": width // _HEAD_DIM, "hidden": 2 * width, "head": {"tied": False}}
    model = build({"variant": "decoder", **SMALL, **config, **sizes, "initialization": {"name": name}}, TOKENS, seed=0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        objective = _build_objective(model, width, asking)
        model.initialization.initialize_readouts(objective)
    view = prepare(objective, rows or _draw_rows(objective))
    optimizer = build_optimizer(
        nn.ModuleDict({"model": model, "objective": objective}),
        model.initialization,
        lambda groups: torch.optim.AdamW(groups, lr=_RATE, weight_decay=0.0),
    )
    first = _observe(model, objective, view)
    for _ in range(_STEPS):
        optimizer.zero_grad()
        loss: Any = torch.stack(list(objective.loss(model.train(), view).values())).sum()
        loss.backward()
        optimizer.step()
    last = _observe(model, objective, view)
    return {place: float((last[place] - value).square().mean().sqrt()) for place, value in first.items()}


@torch.no_grad()
def _observe(model: Variant, objective: Objective, view: View) -> dict[str, Tensor]:
    """Returns hidden states, logits, and outputs of sublayers and of heads of the objective, each flattened."""
    seen: dict[str, list[Tensor]] = {}
    parts = {"outputs of attention": Attention, "outputs of feed-forwards": FeedForward}
    observed: list[tuple[nn.Module, str]] = [
        (part, place) for place, kind in parts.items() for part in model.modules() if isinstance(part, kind)
    ]
    observed += [(part, "outputs of heads") for part in objective.modules() if isinstance(part, nn.Linear)]
    handles = [
        part.register_forward_hook(lambda part, given, out, place=place: seen.setdefault(place, []).append(out))
        for part, place in observed
    ]
    seen["hidden states"] = [model.eval().compute_hidden(view.inputs)]
    seen["logits"] = [objective.predict(model, view)[0]]
    objective.loss(model, view)
    for handle in handles:
        handle.remove()
    return {place: torch.cat([tensor.flatten() for tensor in tensors]) for place, tensors in seen.items()}


def _build_objective(model: Variant, width: int, asking: Subject | None) -> Objective:
    if asking is not None:
        return cast("Objective", build_component(asking, width, VOCABULARY, model.name))
    name = {"decoder": "causal_lm", "encoder": "masked_lm", "encoder_decoder": "seq2seq"}[model.name]
    return cast("Objective", cast("Any", get_index().get("objective", name).load())(width, VOCABULARY, model.name))


def _draw_rows(objective: Objective) -> Batch:
    generator = torch.Generator().manual_seed(0)
    forms = {form for _, form in type(objective).combines}
    return (
        make_documents(generator) if "documents" in forms else make_pairs([(5, 4), (1, 1), (8, 6), (3, 7)], generator)
    )

"""View of gradients: how they reach each layer, with the residual connections and norms of a model and without them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from zoo.checks import Refused
from zoo.inspect.text_loss import TextBatch, compute_text_loss
from zoo.model.build import assemble
from zoo.model.plan import ModelPlan, Part
from zoo.model.stack import Layer
from zoo.model.variants.variant import Variant
from zoo.runs.metrics_file import read_metrics

Weights = Literal["model", "initial", "no_residual", "no_norm", "no_residual_no_norm"]


@dataclass(frozen=True)
class StackGradients:
    """Norms of gradients in a stack.

    Args:
        stack: name of the stack.
        residual: names of the residual components of its layers, each once.
        outputs: norm of the gradient of the loss with respect to the output of each applied layer, over all tokens.
            None where numbers overflow.
        parameters: norm of its gradient with respect to all parameters of each layer; layers that share weights have
            equal ones.
    """

    stack: str
    residual: tuple[str, ...]
    outputs: tuple[float | None, ...]
    parameters: tuple[float | None, ...]


@dataclass(frozen=True)
class GradientProfile:
    """Gradients in a model.

    Args:
        weights: ``model``: those of the given model. ``initial``: those that its plan begins with. ``no_residual`` and
            ``no_norm``: the same with residual ``none`` or norm ``none`` in every layer; ``no_residual_no_norm``: both.
        loss: mean loss of the predicted tokens, in nats; None if it overflows.
        stacks: the stacks, an encoder before its decoder.
    """

    weights: Weights
    loss: float | None
    stacks: tuple[StackGradients, ...]


@dataclass(frozen=True)
class GradientView:
    """Gradients of the loss on a batch of texts.

    Args:
        objective: what the loss is of: ``next_token``, ``masked_token``, ``every_token`` or ``answer``.
        tokens: number of predicted tokens.
        seed: seed of the initial weights.
        profiles: the model itself, and four that are freshly initialized unless they were left out.
    """

    objective: str
    tokens: int
    seed: int
    profiles: tuple[GradientProfile, ...]


def measure_gradients(model: Variant, batch: TextBatch, *, seed: int = 0, initial: bool = True) -> GradientView:
    """Measures gradients in a model as it is, and freshly initialized with and without residual connections and norms.

    With a residual connection Y = x + F(x), dY/dx = 1 + dF/dx: a gradient reaches every layer. Without, it is the
    product of all dF/dx behind a layer. Norms rescale it: with a norm before F, dF/dx grows as x becomes small.

    Args:
        model: any variant with a head; gradients of its parameters are left as they are.
        batch: texts with the tokens to predict.
        seed: seed of the initial weights.
        initial: whether models are freshly initialized, too; each needs the memory of the model itself for a while.
    """
    plan = model.plan
    if plan is None:
        raise Refused("gradients with other weights need a model that was built from a config: got model.plan=None")
    profiles = [measure_profile(model, batch, "model")]
    for name, slots in _REMOVED.items() if initial else ():
        made = _initialize(model, remove_parts(plan, slots), seed)
        profiles.append(measure_profile(made, batch, name))
    return GradientView(batch.objective, int((batch.targets >= 0).sum()), seed, tuple(profiles))


_REMOVED: dict[Weights, tuple[str, ...]] = {
    "initial": (),
    "no_residual": ("residual",),
    "no_norm": ("norm",),
    "no_residual_no_norm": ("residual", "norm"),
}


def remove_parts(plan: ModelPlan, slots: Sequence[str]) -> ModelPlan:
    """Returns a plan with component ``none`` in these slots of every layer; all other parts are the same."""
    none: dict[str, Any] = {slot: Part(slot, "none", {}, f"model.{slot}") for slot in slots}
    stacks = [
        replace(
            stack,
            base=replace(stack.base, **none),
            layers=tuple(replace(layer, **none) for layer in stack.layers),
        )
        for stack in plan.stacks
    ]
    return replace(plan, stacks=tuple(stacks))


def _initialize(model: Variant, plan: ModelPlan, seed: int) -> Variant:
    """Builds a model with initial weights, on the device and in the precision of ``model``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return assemble(plan, model.vocabulary).to(model.embedding.table.weight).eval()


def measure_profile(model: Variant, batch: TextBatch, weights: Weights) -> GradientProfile:
    """Measures the gradients of one model; ``weights`` says which it has."""
    was_training = model.training
    model.eval()
    try:
        with torch.enable_grad(), _record_outputs(model) as outputs:
            loss = compute_text_loss(model, batch)
    finally:
        model.train(was_training)
    tensors = [tensor for found in outputs.values() for tensor in found]
    parameters = [p for stack in model.get_stacks().values() for p in stack.layers.parameters() if p.requires_grad]
    sought = [*tensors, *parameters]
    given = torch.autograd.grad(loss, sought, allow_unused=True)
    known = {id(tensor): gradient for tensor, gradient in zip(sought, given, strict=True)}
    stacks = tuple(_describe_stack(model, name, found, known) for name, found in outputs.items())
    return GradientProfile(weights, _to_finite(loss.detach()), stacks)


def _describe_stack(
    model: Variant, name: str, outputs: Sequence[Tensor], gradients: Mapping[int, Tensor | None]
) -> StackGradients:
    plans = {stack.name: stack for stack in model.plan.stacks} if model.plan is not None else {}
    layers = model.get_stacks()[name].list_applied_layers()
    return StackGradients(
        name,
        tuple(dict.fromkeys(layer.residual.name for layer in plans[name].layers)),
        tuple(_compute_norm([gradients[id(output)]]) for output in outputs),
        tuple(_compute_norm([gradients.get(id(parameter)) for parameter in layer.parameters()]) for layer in layers),
    )


def _compute_norm(gradients: Sequence[Tensor | None]) -> float | None:
    squares = [gradient.double().square().sum() for gradient in gradients if gradient is not None]
    return _to_finite(torch.stack(squares).sum().sqrt()) if squares else 0.0


def _to_finite(value: Tensor) -> float | None:
    return float(value) if bool(value.isfinite()) else None


@contextmanager
def _record_outputs(model: Variant) -> Iterator[dict[str, list[Tensor]]]:
    """Records the output of every applied layer by stack; layers that share weights are called several times."""
    found: dict[str, list[Tensor]] = {name: [] for name in model.get_stacks()}

    def make_hook(name: str) -> Any:
        def record(layer: Layer, given: Any, output: Tensor) -> Tensor:
            if not output.requires_grad:  # all weights before it are frozen
                output = output.detach().requires_grad_(True)
            found[name].append(output)
            return output

        return record

    handles = [
        layer.register_forward_hook(make_hook(name))
        for name, stack in model.get_stacks().items()
        for layer in stack.list_distinct_layers()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


# ------------------------------------------------------------------------------------------------------------ training


@dataclass(frozen=True)
class GradientCurve:
    """Gradients of a layer's output in training, as a run logged them.

    Args:
        stack: name of the stack.
        layer: number of the layer.
        steps: optimizer steps.
        norms: norm of the gradient of the loss with respect to the output of the layer, at each of them.
    """

    stack: str
    layer: int
    steps: tuple[int, ...]
    norms: tuple[float, ...]


def read_gradient_curves(folder: str | Path) -> tuple[GradientCurve, ...]:
    """Reads the curves that a run logged: columns ``depth/gradient/<stack>/<layer>`` of its ``metrics.csv``.

    Args:
        folder: a run folder; one without such columns has no curves.
    """
    points: dict[tuple[str, int], list[tuple[int, float]]] = {}
    for row in read_metrics(Path(folder) / "metrics.csv"):
        for column, cell in row.items():
            if column.startswith("depth/gradient/"):
                *_, stack, layer = column.split("/")
                points.setdefault((stack, int(layer)), []).append((int(float(row["step"])), float(cell)))
    return tuple(GradientCurve(*key, *zip(*sorted(found), strict=True)) for key, found in sorted(points.items()))

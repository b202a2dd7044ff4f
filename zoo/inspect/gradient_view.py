"""View of gradients for a page: by layer, in several models and along the training of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from zoo.generation.prompting import Prompting
from zoo.inspect.gradients import GradientCurve, measure_gradients, read_gradient_curves
from zoo.inspect.text_loss import build_text_batch
from zoo.model.variants.variant import Variant

STEPS = 5
MOST_PARAMETERS = 500_000_000
"""Parameters of a model up to which it is also built with initial weights."""


def build_gradient_view(model: Variant, prompting: Prompting, text: str, folder: Path | None) -> dict[str, Any] | None:
    """Measures gradients of the loss on a text, and reads those of a run.

    Args:
        model: any variant.
        prompting: encodes the text.
        text: the text.
        folder: the folder of a run; None, or one without metrics, has no curves of a training.
    Returns:
        the fields of :class:`zoo.inspect.gradients.GradientView`, for more than ``MOST_PARAMETERS`` of the model itself
        alone; ``most``, that number; and ``training``: the norm at each layer for up to
        five steps of each stack. None if there is nothing to predict: without a head, or in a decoder that reads a
        single token.
    """
    alone = model.name == "decoder" and len(prompting.encode(text, model.vocabulary)) < 2
    if model.head is None or model.plan is None or alone:
        return None
    batch = build_text_batch(model, prompting, [text])
    logged = folder is not None and (folder / "metrics.csv").is_file()
    curves = read_gradient_curves(folder) if folder is not None and logged else ()
    few = sum(parameter.numel() for parameter in model.parameters()) <= MOST_PARAMETERS
    found = asdict(measure_gradients(model, batch, initial=few))
    return {**found, "most": MOST_PARAMETERS, "training": _group_by_step(curves)}


def _group_by_step(curves: Sequence[GradientCurve]) -> dict[str, list[dict[str, Any]]]:
    """Returns the norms of all layers at up to five steps of the training, from the first to the last, by stack."""
    found: dict[str, list[dict[str, Any]]] = {}
    for stack in dict.fromkeys(curve.stack for curve in curves):
        layers = [dict(zip(curve.steps, curve.norms, strict=True)) for curve in curves if curve.stack == stack]
        steps = sorted(set.intersection(*(set(layer) for layer in layers)))
        count = min(STEPS, len(steps))
        chosen = sorted({steps[round(i * (len(steps) - 1) / max(1, count - 1))] for i in range(count)})
        found[stack] = [{"step": step, "norms": [layer[step] for layer in layers]} for step in chosen]
    return found

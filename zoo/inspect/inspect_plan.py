"""Builds an inspection of a composed model without weights: where its parameters are, and the walk through it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from zoo.inspect.inspection import Inspection
from zoo.inspect.parameters import measure_parameters
from zoo.inspect.shapes import walk_shapes
from zoo.inspect.summary import plan_overrides

LENGTH = 32
"""Tokens of the row that walks through the model, or fewer if it has fewer positions."""


def inspect_plan(overrides: Sequence[str]) -> Inspection:
    """Inspects the model of overrides on the meta device, so that a preset of any size takes no memory.

    Args:
        overrides: words of the command line, such as ``model=gpt2``.
    Raises:
        Refused: with every problem of model and data, one per line.
    """
    plan, vocabulary = plan_overrides(overrides)
    parameters = measure_parameters(plan, vocabulary)
    length = min(LENGTH, parameters.limit or LENGTH)
    views = {
        "parameters": asdict(parameters),
        "shapes": asdict(walk_shapes(plan, vocabulary, length)),
    }
    about = {
        "name": " ".join(overrides),
        "variant": parameters.variant,
        "parameters": parameters.parameters,
        "vocabulary": parameters.vocabulary,
    }
    return Inspection({"model": about, "text": None, "tokens": None, "source": None, "words": {}, "views": views})

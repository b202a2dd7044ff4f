"""Builds models from configs: checks all parts, creates the components and wires them.

Problems of all parts are collected, each with its config path, before any large tensor is allocated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from torch import nn

from zoo.checks import Incompatibility, Refused, require
from zoo.model.compatibility import find_problems, list_length_limits, resolve_positions
from zoo.model.embedding import Embedding
from zoo.model.head import Head
from zoo.model.initialization import Initialization
from zoo.model.interfaces import Attention, Component, FeedForward, Position, Residual
from zoo.model.parts import (
    get_attention_arguments,
    get_norm_factory,
    get_position_arguments,
    load_component_class,
    make_component,
)
from zoo.model.plan import LayerPlan, ModelPlan, Part, StackPlan, plan_model
from zoo.model.schema import check_model
from zoo.model.stack import Layer, Stack
from zoo.model.variants.decoder import Decoder
from zoo.model.variants.encoder import Encoder
from zoo.model.variants.encoder_decoder import EncoderDecoder
from zoo.model.variants.variant import Variant

__all__ = ["VARIANTS", "assemble", "build", "check", "list_length_limits", "load_component_class", "make_component"]
VARIANTS: dict[str, type[Variant]] = {cls.name: cls for cls in (Decoder, Encoder, EncoderDecoder)}


def build(config: Mapping[str, Any], vocabulary: int, *, seed: int | None = None) -> Variant:
    """Builds the model that a config describes and initializes its weights.

    Args:
        config: model config as in a preset: ``{"variant": "decoder", "attention": {"name": "multi_head"}, …}``.
        vocabulary: vocabulary size of the data.
        seed: seed of the initial weights; None draws from torch's global generator.
    Raises:
        Refused: with every problem of the config, one per line.
    """
    _, plan, problems = check(config)
    if problems or plan is None:
        raise Refused("\n".join(problems))
    if seed is None:
        return assemble(plan, vocabulary)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return assemble(plan, vocabulary)


def check(config: Mapping[str, Any]) -> tuple[dict[str, Any], ModelPlan | None, list[str]]:
    """Checks a model config.

    Returns:
        the config with defaults filled in, its plan (None without a valid variant), and all problems with their paths.
    """
    problems: list[str] = []
    checked = check_model(config, problems)
    if checked.get("variant") not in list(VARIANTS):
        return checked, None, problems
    further: list[str] = []
    plan = resolve_positions(plan_model(checked, further))
    further += find_problems(plan) if checked["dim"] > 0 else []
    # Invalid values were replaced by defaults: problems that follow from such a default are no news to the user.
    wrong = {problem.split(":")[0].split(".")[-1] for problem in problems}
    problems += [Incompatibility(line) for line in further if not any(f"{name}=" in line for name in wrong)]
    return checked, plan, problems


# ----------------------------------------------------------------------------------------------------- assembling


def assemble(plan: ModelPlan, vocabulary: int) -> Variant:
    """Builds the model of a plan; initial weights are drawn from torch's global generator.

    Args:
        plan: a plan without problems.
        vocabulary: vocabulary size of the data; the model may have a larger one.
    Raises:
        Refused: if the vocabulary of the plan is smaller than that of the data.
    """
    if plan.vocabulary is not None:
        require(
            plan.vocabulary >= vocabulary,
            f"model.vocabulary must be at least that of the data: got {plan.vocabulary}, the data has {vocabulary}",
        )
        vocabulary = plan.vocabulary
    how = cast("Initialization", make_component(plan.initialization))
    embedding = Embedding(plan.dim, vocabulary, **plan.embedding)
    stacks = [_build_stack(stack) for stack in plan.stacks]
    head = None
    if plan.head is not None:
        scale = how.compute_rate_factor(embedding.width if plan.head["tied"] else plan.dim)
        head = Head(plan.dim, embedding, get_norm_factory(plan.stacks[-1].base), scale, **plan.head)
    further: list[Any] = []
    if len(stacks) > 1:  # the source has no token types
        options = {**plan.embedding, "token_types": 0}
        further = [None if embedding.shared else Embedding(plan.dim, vocabulary, **options)]
    if plan.pooler:
        further = [nn.Linear(plan.dim, plan.dim)]
    model = VARIANTS[plan.variant](embedding, *stacks, head, *further)
    model.plan = replace(plan, vocabulary=vocabulary)
    model.initialize(how)
    return model


def _build_stack(plan: StackPlan) -> Stack:
    positions: list[tuple[tuple[Any, ...], Position]] = []
    layers = [_build_layer(plan, i, positions) for i in range(plan.distinct)]
    base, width = plan.base, plan.width or plan.base.dim
    no_position = make_component(Part("position", "none", {}, "model.cross"), *get_position_arguments(plan, base))
    return Stack(
        layers,
        [position for _, position in positions],
        cast("Position", no_position),
        depth=len(plan.layers),
        causal=plan.causal,
        input_norm=get_norm_factory(base)(width) if plan.input_norm else None,
        project=None if plan.width is None else nn.Linear(width, base.dim),
        final_norm=get_norm_factory(base)(base.dim) if load_component_class(base.residual).final_norm else None,
        dropout=base.dropout,
    )


def _build_layer(plan: StackPlan, number: int, positions: list[tuple[tuple[Any, ...], Position]]) -> Layer:
    layer = plan.layers[number]
    attention = _make_optional(layer.attention, *get_attention_arguments(layer))
    cross = _make_optional(plan.cross, *get_attention_arguments(layer))
    ffn = _make_optional(layer.ffn, layer.dim, layer.hidden)
    sublayers = sum(part is not None for part in (attention, cross, ffn))
    residual = make_component(layer.residual, layer.dim, get_norm_factory(layer), sublayers, number, len(plan.layers))
    return Layer(
        cast("Attention | None", attention),
        cast("Attention | None", cross),
        cast("FeedForward | None", ffn),
        cast("Residual", residual),
        _find_position(plan, layer, positions),
        layer.dropout,
    )


def _make_optional(part: Part | None, *given: Any) -> Component | None:
    """Builds the component of a part, or returns None for ``none``."""
    return None if part is None or load_component_class(part).is_none else make_component(part, *given)


def _find_position(plan: StackPlan, layer: LayerPlan, positions: list[tuple[tuple[Any, ...], Position]]) -> int:
    """Returns the index of the layer's position in ``positions``, appending it if no other layer has an equal one."""
    key = (layer.position.name, layer.position.options, layer.heads, layer.head_dim)
    for number, (known, _) in enumerate(positions):
        if known == key:
            return number
    made = make_component(layer.position, *get_position_arguments(plan, layer))
    positions.append((key, cast("Position", made)))
    return len(positions) - 1

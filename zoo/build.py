"""From a checked config to a model: parts are made, compared with each other, and wired.

Problems of all parts are collected, each with its config path, before anything of size is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, cast

import torch
from torch import nn

from zoo.checks import Refused, require
from zoo.embedding import Embedding
from zoo.head import Head
from zoo.interfaces import Attention, Component, FeedForward, Norm, Position, Residual
from zoo.options import construct_options
from zoo.plan import LayerPlan, ModelPlan, Part, StackPlan, plan_model
from zoo.registry import index, live_options
from zoo.schema import check_model
from zoo.stack import Layer, Stack
from zoo.variants.decoder import Decoder
from zoo.variants.encoder import Encoder
from zoo.variants.encoder_decoder import EncoderDecoder
from zoo.variants.variant import Initialization, Variant

VARIANTS: dict[str, type[Variant]] = {cls.name: cls for cls in (Decoder, Encoder, EncoderDecoder)}


def build(config: Mapping[str, Any], vocabulary: int, *, seed: int | None = None) -> Variant:
    """The model that a config describes, with its first weights.

    Args:
        config: what a preset says: ``{"variant": "decoder", "attention": {"name": "multi_head"}, …}``.
        vocabulary: tokens.
        seed: of the first weights; None takes torch's generator as it is.
    Raises:
        Refused: with every problem of the config, one a line.
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
    """The config in full, its plan, and every problem of it, each with its config path."""
    problems: list[str] = []
    checked = check_model(config, problems)
    if "variant" not in checked:
        return checked, None, problems
    further: list[str] = []
    plan = plan_model(checked, further)
    further += model_problems(plan) if checked["dim"] > 0 else []
    # Where a value was wrong its default stood in for it: what follows from that is not the user's problem.
    wrong = {problem.split(":")[0].split(".")[-1] for problem in problems}
    problems += [line for line in further if not any(f"{name}=" in line for name in wrong)]
    return checked, plan, problems


def make(part: Part, *given: Any) -> Component:
    """The component of a part; ``given`` is what stands left of ``*``.

    Raises:
        Refused: with the config path in front.
    """
    try:
        cls = index().get(part.kind, part.name).load()
        return cast("Component", cls(*given, **construct_options(live_options(part.kind, part.name), part.options)))
    except Refused as error:
        raise Refused(f"{_blame(part, str(error))}: {error}") from None


def component_class(part: Part) -> Any:
    """The class of a part, for the facts that it declares."""
    return index().get(part.kind, part.name).load()


def _blame(part: Part, message: str) -> str:
    """The config path of the option that a message begins with, else of the part."""
    first = message.split()[0].split(".")[0] if message else ""
    return f"{part.path}.{message.split()[0]}" if first in part.options else part.path


# ----------------------------------------------------------------------------------------------------- assembling


def assemble(plan: ModelPlan, vocabulary: int) -> Variant:
    """Make and wire all parts of a plan; weights come from torch's generator.

    Args:
        plan: without problems.
        vocabulary: tokens of the data; the model may have room for more.
    """
    if plan.vocabulary is not None:
        require(
            plan.vocabulary >= vocabulary,
            f"model.vocabulary must be at least that of the data: got {plan.vocabulary}, the data has {vocabulary}",
        )
        vocabulary = plan.vocabulary
    embedding = Embedding(plan.dim, vocabulary, **plan.embedding)
    stacks = [_stack(stack) for stack in plan.stacks]
    head = Head(plan.dim, embedding, _norm(plan.stacks[-1].base)(plan.dim), **plan.head)
    model = VARIANTS[plan.variant](embedding, *stacks, head)
    model.initialize(Initialization(**plan.initialization))
    return model


def _norm(layer: LayerPlan) -> Callable[[int], Norm]:
    return cast("Callable[[int], Norm]", partial(make, layer.norm))


def _stack(plan: StackPlan) -> Stack:
    positions: list[tuple[tuple[Any, ...], Position]] = []
    layers = [_layer(plan, i, positions) for i in range(len(plan.layers))]
    ends = component_class(plan.base.residual).final_norm
    nowhere = make(Part("position", "none", {}, "model.cross"), *_position_arguments(plan.base, plan.causal))
    return Stack(
        layers,
        [position for _, position in positions],
        cast("Position", nowhere),
        causal=plan.causal,
        input_norm=_norm(plan.base)(plan.base.dim) if plan.input_norm else None,
        final_norm=_norm(plan.base)(plan.base.dim) if ends else None,
        dropout=plan.base.dropout,
    )


def _layer(plan: StackPlan, number: int, positions: list[tuple[tuple[Any, ...], Position]]) -> Layer:
    layer = plan.layers[number]
    attention = _present(layer.attention, *_attention_arguments(layer))
    cross = _present(plan.cross, *_attention_arguments(layer))
    ffn = _present(layer.ffn, layer.dim, layer.hidden)
    sublayers = sum(part is not None for part in (attention, cross, ffn))
    residual = make(layer.residual, layer.dim, _norm(layer), sublayers, number, len(plan.layers))
    return Layer(
        cast("Attention | None", attention),
        cast("Attention | None", cross),
        cast("FeedForward | None", ffn),
        cast("Residual", residual),
        _place(layer, plan.causal, positions),
        layer.dropout,
    )


def _attention_arguments(layer: LayerPlan) -> tuple[Any, ...]:
    return layer.dim, layer.heads, layer.head_dim, _norm(layer)


def _position_arguments(layer: LayerPlan, causal: bool) -> tuple[Any, ...]:
    return layer.dim, layer.heads, layer.head_dim, causal


def _present(part: Part | None, *given: Any) -> Component | None:
    """The component, unless there is none to make."""
    return None if part is None or component_class(part).absent else make(part, *given)


def _place(layer: LayerPlan, causal: bool, positions: list[tuple[tuple[Any, ...], Position]]) -> int:
    """The number of the layer's position among the distinct ones of the stack; made if it is new."""
    key = (layer.position.name, layer.position.options, layer.heads, layer.head_dim)
    for number, (known, _) in enumerate(positions):
        if known == key:
            return number
    made = make(layer.position, *_position_arguments(layer, causal))
    positions.append((key, cast("Position", made)))
    return len(positions) - 1


# -------------------------------------------------------------------------------------------------------- refusing


def model_problems(plan: ModelPlan) -> list[str]:
    """Everything that is wrong with a plan: parts that refuse their options, and pairs that mean nothing."""
    problems: dict[str, None] = {}
    for stack in plan.stacks:
        for layer in dict.fromkeys(map(id, stack.layers)):
            chosen = next(item for item in stack.layers if id(item) == layer)
            problems.update(dict.fromkeys(_layer_problems(stack, chosen)))
    return list(problems)


def _layer_problems(stack: StackPlan, layer: LayerPlan) -> Iterator[str]:
    given: dict[str, tuple[Any, ...]] = {
        "norm": (layer.dim,),
        "position": _position_arguments(layer, stack.causal),
        "ffn": (layer.dim, layer.hidden),
        "attention": (layer.dim, layer.heads, layer.head_dim, lambda width: nn.Identity()),
        "residual": (layer.dim, lambda width: nn.Identity(), 2, 0, 1),
    }
    parts = [layer.norm, layer.position, layer.ffn, layer.attention, layer.residual]
    sound = True
    for part in [*parts, *([stack.cross] if stack.cross is not None else [])]:
        if not part.name or min(layer.heads, layer.head_dim, layer.hidden) < 1:
            sound = False
            continue
        try:
            with torch.device("meta"):
                make(part, *given[part.kind])
        except Refused as error:
            sound = False
            yield str(error)
    if sound:
        yield from _pair_problems(stack, layer)


def _pair_problems(stack: StackPlan, layer: LayerPlan) -> Iterator[str]:
    """Refuse what a declared fact says would not work, or would change nothing."""
    attention, position = component_class(layer.attention), component_class(layer.position)
    need = "causal" if stack.causal else "full"
    if need not in attention.sees:
        yield (
            f"{layer.attention.path}: {layer.attention.name} cannot be used in the {stack.name}: "
            f"it does not see {need}, only {', '.join(sorted(attention.sees))}"
        )
    for hook in sorted(position.hooks() - {"embed"} - attention.applies):
        yield (
            f"{layer.position.path}: {layer.position.name} would change nothing: it acts by {hook}, "
            f"which attention {layer.attention.name} does not apply"
        )
    if need not in (ffn := component_class(layer.ffn)).sees:
        yield (
            f"{layer.ffn.path}: {layer.ffn.name} cannot be used in the {stack.name}: its tokens compete with each "
            f"other, so it does not see {need}, only {', '.join(sorted(ffn.sees))}"
        )
    if stack.cross is not None and "cross" not in component_class(stack.cross).sees:
        yield f"{stack.cross.path}: {stack.cross.name} cannot be cross-attention: it does not see cross"
    if attention.absent and ffn.absent:
        yield f"{layer.ffn.path}: a layer needs attention or ffn: both are none"
    if layer.residual != (base := stack.base.residual) and any(
        component_class(part).widen is not Residual.widen for part in (layer.residual, base)
    ):
        yield (
            f"{layer.residual.path}: {layer.residual.name} cannot stand in one stack with {base.name} of {base.path}: "
            f"their layers pass on streams of different form"
        )


def limits(stack: StackPlan) -> Iterator[tuple[Part, int]]:
    """The parts of a stack that cannot take rows of any length, and how much each can take."""
    for layer in stack.layers:
        with torch.device("meta"):
            position = make(layer.position, *_position_arguments(layer, stack.causal))
            attention = make(layer.attention, *_attention_arguments(layer))
        for part, component in ((layer.position, position), (layer.attention, attention)):
            if (limit := getattr(component, "limit", None)) is not None:
                yield part, limit

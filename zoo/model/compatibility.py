"""Finds incompatible parts of a plan; each problem names its config path and the reason."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from zoo.checks import Refused
from zoo.model.embedding import Embedding
from zoo.model.head import Head
from zoo.model.interfaces import Residual
from zoo.model.parts import (
    RefusedPart,
    get_attention_arguments,
    get_norm_factory,
    get_position_arguments,
    load_component_class,
    locate_option,
    make_component,
    use_meta_device,
)
from zoo.model.plan import LayerPlan, ModelPlan, Part, StackPlan


def resolve_positions(plan: ModelPlan) -> ModelPlan:
    """Replaces the position of layers whose attention calls none of its hooks by ``none``.

    A config that puts a recurrent mixer, or no attention, into some layers of a model with rotary positions does not
    mention the positions of those layers. A position is replaced if the attention was chosen at a more specific level
    (in an exception, or for one stack) and if another layer uses the position. A pair that was chosen at one level is
    refused.
    """
    applied = {layer.position.path for stack in plan.stacks for layer in stack.layers if not _is_position_unused(layer)}
    known: dict[int, LayerPlan] = {}

    def settled(layer: LayerPlan) -> LayerPlan:
        if id(layer) not in known:
            said = layer.position.path
            inherited = _count_levels(layer.attention) > _count_levels(layer.position) and said in applied
            nothing = Part("position", "none", {}, said)
            known[id(layer)] = replace(layer, position=nothing) if inherited and _is_position_unused(layer) else layer
        return known[id(layer)]

    stacks = [replace(stack, layers=tuple(map(settled, stack.layers))) for stack in plan.stacks]
    return replace(plan, stacks=tuple(stacks))


def _count_levels(part: Part) -> int:
    """Returns how specific the choice of a part is: for the model, for a stack or in an exception."""
    return part.path.count(".")


def _is_position_unused(layer: LayerPlan) -> bool:
    """True if the attention of the layer calls none of the hooks of its position."""
    if not (layer.attention.name and layer.position.name):
        return False
    hooks = load_component_class(layer.position).get_hooks()
    return bool(hooks) and not hooks & (load_component_class(layer.attention).position_hooks | {"embed"})


def find_problems(plan: ModelPlan) -> list[str]:
    """Finds all problems of a plan: parts that refuse their options, and parts that are incompatible."""
    problems = dict.fromkeys(_find_end_problems(plan))
    for stack in plan.stacks:
        widths = [stack.base.dim, *([stack.width or stack.base.dim] if stack.input_norm else [])]
        for width in widths:  # at the ends of the stack
            problems.update(dict.fromkeys(_find_part_problems(stack.base.norm, width)))
        for layer in dict.fromkeys(map(id, stack.layers)):
            chosen = next(item for item in stack.layers if id(item) == layer)
            problems.update(dict.fromkeys(_find_layer_problems(stack, chosen)))
    return list(problems)


def _find_end_problems(plan: ModelPlan) -> Iterator[str]:
    """Yields problems of the initialization, the embedding, the head and the pooler."""
    norm = get_norm_factory(plan.stacks[-1].base)
    makers: dict[str, Callable[[], object]] = {
        "initialization": lambda: make_component(plan.initialization),
        "embedding": lambda: Embedding(plan.dim, 1, **plan.embedding),
        "head": lambda: Head(plan.dim, embedding or Embedding(plan.dim, 1), norm, **(plan.head or {})),
    }
    embedding: Embedding | None = None
    for name, maker in makers.items():
        try:
            with use_meta_device():
                made = maker()
            embedding = made if isinstance(made, Embedding) else embedding
        except RefusedPart as error:
            yield str(error)
        except Refused as error:
            yield f"{locate_option(f'model.{name}', getattr(plan, name) or {}, str(error))}: {error}"
    if plan.pooler and plan.variant != "encoder":
        yield f"model.pooler: only an encoder has a token that attends to all others: got variant={plan.variant}"
    if len(plan.stacks) == 1 and not plan.embedding["shared"]:
        yield f"model.embedding.shared: only an encoder_decoder has two embeddings: got variant={plan.variant}"


def _find_layer_problems(stack: StackPlan, layer: LayerPlan) -> Iterator[str]:
    given: dict[str, tuple[Any, ...]] = {
        "norm": (layer.dim,),
        "position": get_position_arguments(stack, layer),
        "ffn": (layer.dim, layer.hidden),
        "attention": get_attention_arguments(layer),
        "residual": (layer.dim, get_norm_factory(layer), 2, 0, 1),
    }
    parts = [layer.norm, layer.position, layer.ffn, layer.attention, layer.residual]
    sound = True
    for part in [*parts, *([stack.cross] if stack.cross is not None else [])]:
        if not part.name or min(layer.heads, layer.head_dim, layer.hidden) < 1:
            sound = False
            continue
        refused = list(_find_part_problems(part, *given[part.kind]))
        sound = sound and not refused
        yield from refused
    if sound:
        yield from _find_pair_problems(stack, layer)


def _find_part_problems(part: Part, *given: Any) -> Iterator[str]:
    """Yields the reason why a part refuses its options, if it does; the part is built on the meta device."""
    if part.name:
        try:
            with use_meta_device():
                make_component(part, *given)
        except Refused as error:
            yield str(error)


def _find_pair_problems(stack: StackPlan, layer: LayerPlan) -> Iterator[str]:
    """Yields pairs of parts that cannot work together, or of which one would have no effect."""
    attention, position = load_component_class(layer.attention), load_component_class(layer.position)
    need = "causal" if stack.causal else "full"
    if need not in attention.supports:
        yield (
            f"{layer.attention.path}: {layer.attention.name} cannot be used in the {stack.name}: "
            f"it does not support {need} masks, only {', '.join(sorted(attention.supports))}"
        )
    for hook in sorted(position.get_hooks() - {"embed"} - attention.position_hooks):
        yield (
            f"{layer.position.path}: {layer.position.name} would change nothing: it acts by {hook}, "
            f"which attention {layer.attention.name} does not apply"
        )
    if need not in (ffn := load_component_class(layer.ffn)).supports:
        yield (
            f"{layer.ffn.path}: {layer.ffn.name} cannot be used in the {stack.name}: its tokens compete with each "
            f"other, so it does not support {need} masks, only {', '.join(sorted(ffn.supports))}"
        )
    if stack.cross is not None and "cross" not in load_component_class(stack.cross).supports:
        yield f"{stack.cross.path}: {stack.cross.name} cannot be cross-attention: it does not support cross masks"
    if attention.is_none and ffn.is_none:
        yield f"{layer.ffn.path}: a layer needs attention or ffn: both are none"
    if layer.residual != (base := stack.base.residual) and any(
        load_component_class(part).widen is not Residual.widen for part in (layer.residual, base)
    ):
        yield (
            f"{layer.residual.path}: {layer.residual.name} cannot be in one stack with {base.name} of {base.path}: "
            f"their layers have different numbers of residual streams"
        )


def list_length_limits(stack: StackPlan) -> Iterator[tuple[Part, int]]:
    """Yields the parts of a stack that limit the length of rows, with their limits in tokens."""
    for layer in stack.layers:
        with use_meta_device():
            position = make_component(layer.position, *get_position_arguments(stack, layer))
            attention = make_component(layer.attention, *get_attention_arguments(layer))
        for part, component in ((layer.position, position), (layer.attention, attention)):
            if (limit := getattr(component, "limit", None)) is not None:
                yield part, limit

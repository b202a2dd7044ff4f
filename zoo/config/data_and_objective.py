"""Checks of data and objective, by themselves and with the model; construction of the objective."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from zoo.checks import Refused
from zoo.config.checkpoint_start import suggest_head
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model import build
from zoo.model.objective import Objective
from zoo.model.parts import create_part
from zoo.model.plan import ModelPlan
from zoo.model.schema import check_part
from zoo.registry import get_index, get_live_options
from zoo.registry.options import Option, Scalar, check_options, construct_options
from zoo.runs.config_sections import ComponentConfig, DataConfig, ModelConfig
from zoo.runs.run_config import RunConfig

_MANY = 1 << 20


def check_data(given: Any, problems: list[str]) -> dict[str, Any]:
    """Checks the data section: options of the source, row length and tokenizer."""
    common = (Option("length", Scalar(int), 128),)
    own = {key: value for key, value in given.items() if key not in ("length", "tokenizer")} if given else given
    checked = check_part("data", own, "data", problems)
    checked |= check_options(common, {k: v for k, v in (given or {}).items() if k == "length"}, "data", problems)
    if checked["length"] < 2:
        problems.append(f"data.length: must be at least 2: got {checked['length']}")
    tokenizer = (given or {}).get("tokenizer", {"name": "bytes"})
    checked["tokenizer"] = check_part("tokenizer", tokenizer, "data.tokenizer", problems)
    for part, path in ((checked, "data"), (checked["tokenizer"], "data.tokenizer")):
        if part.get("name") and not any(line.startswith(f"{path}.") for line in problems):
            problems += _find_construction_problems("data" if path == "data" else "tokenizer", part, path)
    return checked


def _find_construction_problems(kind: str, checked: Mapping[str, Any], path: str) -> list[str]:
    """Finds problems that a data source or tokenizer reports when it is constructed; reads no data."""
    if any(option.name not in checked for option in get_index().get(kind, str(checked["name"])).options):
        return []
    try:
        made: Any = build.make_component(create_part(kind, ComponentConfig.from_mapping(checked), path))
        made.identity()
    except Refused as error:
        return [str(error)]
    return []


def check_objective(
    given: Any, model: Mapping[str, Any], data: Mapping[str, Any], problems: list[str]
) -> dict[str, Any]:
    """Checks the objective; the default depends on the variant and the form of the data."""
    variant, source = model.get("variant"), data.get("name")
    if variant not in build.VARIANTS or not source:  # reported already
        return {}
    if _is_unnamed(given):
        given = {**given, "name": _find_default_objective(str(variant), str(source))}
    return check_part("objective", given, "objective", problems)


def describe_default_objective(given: Any, variant: str, source: str) -> str | None:
    """Returns which objective was chosen by default, and for what; None if the config names one.

    Args:
        given: the section ``objective`` before it was checked.
        variant: variant of the model.
        source: name of the data.
    """
    if not _is_unnamed(given):
        return None
    name = _find_default_objective(variant, source)
    return f"objective {name}, the default for variant {variant} with {_find_form(source)}"


def _is_unnamed(objective: Any) -> bool:
    return isinstance(objective, Mapping) and objective.get("name") is None


def _find_default_objective(variant: str, source: str) -> str:
    return build.VARIANTS[variant].default_objectives[_find_form(source)]


def make_objective(config: RunConfig, vocabulary: Vocabulary) -> Objective:
    """Builds the objective of a config."""
    return _build_objective(config.objective, config.model, vocabulary)


def _build_objective(objective: ComponentConfig, model: ModelConfig, vocabulary: Vocabulary) -> Objective:
    cls = get_index().get("objective", objective.name).load()
    options = construct_options(get_live_options("objective", objective.name), objective.options)
    made = cls(model.dim, vocabulary, model.variant, **options)
    if not isinstance(made, Objective):
        raise TypeError(f"objective {objective.name} is not an Objective: {cls}")
    return made


def _build_draft_objective(objective: ComponentConfig, model: ModelConfig, length: int) -> Objective:
    """Builds the objective before the vocabulary is known, with enough sentinels for every row."""
    sentinels = tuple(range(6, 6 + min(2 * length, _MANY)))
    with torch.device("meta"):
        return _build_objective(objective, model, Vocabulary(64 + len(sentinels), 0, 1, 2, 3, 4, 5, sentinels))


def find_required_tokens(objective: ComponentConfig, model: ModelConfig, data: DataConfig) -> Required:
    """Finds the special tokens that a checked objective adds to its data."""
    draft = _build_draft_objective(objective, model, data.length)
    return draft.get_required_tokens(_find_form(data.source.name), data.length)


def _find_form(source: str) -> str:
    """Finds the form of the rows of a data component: documents or pairs."""
    return str(get_index().get("data", source).load().form)  # type: ignore[attr-defined]


def find_required_in_unchecked(objective: Any, model: Mapping[str, Any], data: Any) -> Required:
    """Finds the special tokens of an unchecked config; none if it has problems, which are reported elsewhere."""
    problems: list[str] = []
    source = check_data(data, problems)
    asked = {} if problems else check_objective(objective, model, source, problems)
    if problems or not asked:
        return Required()
    try:
        model_config, data_config = ModelConfig.from_mapping(model), DataConfig.from_mapping(source)
        return find_required_tokens(ComponentConfig.from_mapping(asked), model_config, data_config)
    except Refused:
        return Required()


def find_fit_problems(config: RunConfig, plan: ModelPlan) -> list[str]:
    """Finds incompatible choices: objective with variant and data, positions with length, mixers with packing."""
    name, variant, length = config.objective.name, plan.variant, config.data.length
    cls: Any = get_index().get("objective", name).load()
    form = _find_form(config.data.source.name)
    if (variant, form) not in cls.combines:
        works = ", ".join(f"{v} with {f}" for v, f in sorted(cls.combines))
        return [f"objective: {name} makes no sense for {variant} with {form}: {cls.reason}; it works for {works}"]
    problems = _find_reader_problems(plan, cls, form)
    if cls.uses_head and plan.head is None:
        hint = suggest_head(config.model)
        problems.append(f"objective: {name} needs logits, but model.head=null gives none: try {hint}")
    try:
        longest = _build_draft_objective(config.objective, config.model, length).get_max_length(length)
    except Refused as error:
        return [*problems, f"objective: {error}"]
    types = plan.embedding["token_types"]
    if config.objective.options.get("token_types") and types < 2:
        problems.append(f"objective.token_types: needs model.embedding.token_types=2: got {types}")
    for stack in plan.stacks:
        for part, limit in build.list_length_limits(stack):
            if limit < longest:
                rows = f"rows of data.length={length} become up to {longest} tokens"
                problems.append(f"{part.path}: {part.name} has {limit} positions: {rows}")
    return problems


def _find_reader_problems(plan: ModelPlan, objective: Any, form: str) -> list[str]:
    needs = set(objective.needs if plan.variant == "decoder" else ()) | ({"packed"} if form == "documents" else set())
    problems = []
    for stack in plan.stacks:
        for layer in stack.layers:
            for part in (layer.attention, layer.ffn):
                if missing := sorted(needs - build.load_component_class(part).supports):
                    who, what = f"{part.path}: {part.name}", ", ".join(missing)
                    problems.append(f"{who} does not support {what} masks, which this objective and data need")
    return problems

"""Checks a composed config and reports all problems at once, each with its config path; needs no Hydra."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from zoo.checks import Incompatibility, Refused
from zoo.config.checkpoint_start import resolve_checkpoint, suggest_head
from zoo.config.targets import CALLED, NAMED_TARGETS, TARGETS, find_target_problems, find_value_problems
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model import build
from zoo.model.objective import Objective
from zoo.model.parts import create_part
from zoo.model.plan import ModelPlan
from zoo.model.schema import check_part
from zoo.registry import get_index, get_live_options
from zoo.registry.options import Choice, Maybe, Option, Scalar, check_options, construct_options
from zoo.runs.config_sections import ComponentConfig, DataConfig, ModelConfig, Target
from zoo.runs.run_config import RunConfig
from zoo.system.names import check_path

SECTIONS = ("model", "data", "objective", "optimizer", "schedule", "trainer", "logger", "callbacks")
_POSITIVE = ("steps", "batch", "accumulate", "evaluate", "checkpoint", "checkpoint_seconds", "clip", "threads")

RUN_OPTIONS = (
    Option("seed", Scalar(int)),
    Option("steps", Scalar(int)),
    Option("batch", Scalar(int)),
    Option("accumulate", Scalar(int)),
    Option("clip", Maybe(Scalar(float))),
    Option("evaluate", Scalar(int)),
    Option("checkpoint", Scalar(int)),
    Option("checkpoint_seconds", Maybe(Scalar(float)), 60.0),
    Option("precision", Choice(("auto", "32-true", "bf16-mixed", "16-mixed", "bf16-true"))),
    Option("threads", Maybe(Scalar(int))),
    Option("examples", Scalar(int)),
    Option("label", Scalar(str), ""),
    Option("runs", Scalar(str)),
    Option("cache", Scalar(str)),
)
_MANY = 1 << 20
_INTEGER = re.compile(r"-?[0-9]+")


@dataclass(frozen=True)
class CheckedConfig:
    """The outcome of a check: a complete config, and its problems.

    Args:
        complete: the config with defaults filled in; None if problems leave it incomplete.
        plan: the model; None if its config has problems.
        problems: one message per problem, each with its config path.
    """

    complete: RunConfig | None
    plan: ModelPlan | None
    problems: tuple[str, ...]

    @property
    def config(self) -> RunConfig:
        """The config with defaults filled in.

        Raises:
            Refused: with all problems, if they leave it incomplete.
        """
        if self.complete is None:
            raise Refused("\n".join(self.problems))
        return self.complete

    @property
    def hash(self) -> str:
        """Hash of the config, which names the run folder; equal configs share one run."""
        return self.config.hash

    @property
    def unfit(self) -> bool:
        """True if all problems are incompatible choices, each of which would work with others."""
        return bool(self.problems) and all(isinstance(problem, Incompatibility) for problem in self.problems)

    def require(self) -> None:
        """Raises :class:`Refused` with all problems, one per line, if there are any."""
        if self.problems:
            raise Refused("\n".join(self.problems))


def check_run(
    given: Mapping[str, Any], was_trained: Callable[[CheckedConfig], bool] = lambda checked: False
) -> CheckedConfig:
    """Checks a composed config, fills in defaults and resolves ``auto``.

    Args:
        given: the composed config.
        was_trained: returns True for a config that has a result. Its optimizer, schedule and trainer were checked
            before training, so they are not imported again, which takes seconds.
    """
    problems: list[str] = []
    config = check_options(RUN_OPTIONS, given, "", problems, also=SECTIONS)
    if not problems:
        low = [name for name in _POSITIVE if config[name] is not None and config[name] <= 0]
        problems += [f"{name}: must be positive: got {config[name]}" for name in low]
        if config["examples"] < 0:
            problems.append(f"examples: must not be negative: got {config['examples']}")
        for name in ("runs", "cache"):
            problems += check_path(name, config[name]) if config[name] else [f"{name}: must name a folder: got ''"]
    model = given.get("model") or {}
    required = partial(_find_required, given.get("objective"))
    start = resolve_checkpoint(model if isinstance(model, Mapping) else {}, given.get("data"), problems, required)
    config["model"], plan, found = build.check(start.model)
    config["model"] |= start.keys
    problems += [] if start.failed else found
    config["data"] = check_data(start.data, problems)
    config["objective"] = check_objective(given.get("objective"), config["model"], config["data"], problems)
    for section in (*TARGETS, *NAMED_TARGETS):
        config[section] = dict(given.get(section) or {})
    asked = str(config.get("precision"))
    config["precision"] = _resolve_precision(asked, config["trainer"])
    named = [
        line
        for section in NAMED_TARGETS
        for name, item in config[section].items()
        for line in find_target_problems(f"{section}.{name}", item if isinstance(item, Mapping) else {})
    ]
    if problems or named or not was_trained(CheckedConfig(RunConfig.from_mapping(config), plan, ())):
        for section in TARGETS:
            problems += _find_section_problems(section, config[section], problems)
    problems += named
    complete = None if problems else RunConfig.from_mapping(config)
    if complete is not None and plan is not None:
        problems += map(Incompatibility, _find_fit_problems(complete, plan))
    problems += _find_precision_problems(asked, config)
    problems += _find_device_problems(config["trainer"])
    return CheckedConfig(complete, plan, tuple(dict.fromkeys(problems)))


# ---------------------------------------------------------------------------------------------- data and objective


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
    if variant not in build.VARIANTS:  # reported already
        return {}
    if isinstance(given, Mapping) and given.get("name") is None and variant and source:
        given = {**given, "name": build.VARIANTS[str(variant)].default_objectives[_find_form(str(source))]}
    if not variant or not source:
        return {}
    return check_part("objective", given, "objective", problems)


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


def _find_required(objective: Any, model: Mapping[str, Any], data: Any) -> Required:
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


def _find_fit_problems(config: RunConfig, plan: ModelPlan) -> list[str]:
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


# ----------------------------------------------------------------------------------------- optimizer and trainer


def _find_section_problems(section: str, given: Mapping[str, Any], problems: Sequence[str]) -> list[str]:
    found = find_target_problems(section, given)
    known = any(problem.startswith("steps:") for problem in problems)  # the schedule would report it again
    if known:
        found = [problem for problem in found if not problem.startswith("schedule.steps:")]
    if found or section not in CALLED or (known and section == "schedule"):
        return found
    return find_value_problems(section, Target.from_mapping(given))


def _resolve_precision(asked: str, trainer: Mapping[str, Any]) -> str:
    """Resolves ``auto`` to a precision for this hardware."""
    if asked != "auto":
        return asked
    fast = torch.cuda.is_available() and torch.cuda.is_bf16_supported() if _on_gpu(trainer) else _has_native_bfloat16()
    return "bf16-mixed" if fast else "32-true"


def _find_precision_problems(asked: str, config: Mapping[str, Any]) -> list[str]:
    """Finds problems of ``16-mixed``.

    On a CPU, Lightning silently uses bfloat16 instead. A fused optimizer unscales gradients after clipping.
    """
    if asked != "16-mixed":
        return []
    problems = []
    if not _on_gpu(config["trainer"]):
        problems.append("precision: 16-mixed needs a GPU: on a CPU there are 32-true, bf16-mixed and bf16-true")
    if config["optimizer"].get("fused"):
        problems.append("precision: 16-mixed needs optimizer.fused=false: got optimizer.fused=true")
    return problems


def _find_device_problems(trainer: Mapping[str, Any]) -> list[str]:
    """Finds invalid numbers of devices and nodes, for some of which Lightning reports that devices are missing."""
    devices, nodes = trainer.get("devices", 1), trainer.get("num_nodes", 1)
    problems = []
    if _is_int(devices) and (int(devices) == 0 or int(devices) < -1):
        problems.append(f"trainer.devices: must be positive, or -1 for all devices: got {devices}")
    if isinstance(devices, list) and not (devices and all(_is_int(each) and int(each) >= 0 for each in devices)):
        problems.append(f"trainer.devices: must be a list of numbers of devices, from 0 on: got {devices}")
    if _is_int(nodes) and int(nodes) < 1:
        problems.append(f"trainer.num_nodes: must be positive: got {nodes}")
    return problems


def _is_int(value: Any) -> bool:
    """True for an integer, also one that is written as text."""
    return isinstance(value, int | str) and not isinstance(value, bool) and bool(_INTEGER.fullmatch(str(value)))


def _on_gpu(trainer: Mapping[str, Any]) -> bool:
    accelerator = trainer.get("accelerator", "auto")
    return accelerator in ("gpu", "cuda") or (accelerator == "auto" and torch.cuda.is_available())


def _has_native_bfloat16() -> bool:
    """True if the CPU has instructions for bfloat16 matrix products (AVX-512 BF16 or AMX)."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())

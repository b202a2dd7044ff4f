"""``zoo show``: describes the modules and costs of a composed model, which is built on the meta device."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.text import Text

from zoo.checks import Refused
from zoo.config.checkpoint_start import Start, resolve_checkpoint_config
from zoo.config.compose import compose_run
from zoo.config.data_and_objective import (
    check_data,
    check_objective,
    describe_default_objective,
    find_required_tokens,
)
from zoo.data.special_tokens import OURS
from zoo.hub.task_heads import KeptHead
from zoo.model import build
from zoo.model.cost import build_on_meta, compute_cost, count_buffers, measure_modules
from zoo.model.executed_flops import measure_executed_flops_per_token
from zoo.model.plan import ModelPlan
from zoo.runs.config_sections import ComponentConfig, DataConfig, ModelConfig
from zoo.system.tables import Column, Terminal, print_table
from zoo.system.units import format_count, is_different

_COSTS = ("flops", "cache_bytes", "cache_bytes_per_token", "activation_bytes")
_GROUPS = {"attention": "attention", "cross": "attention", "ffn": "ffn", "head": "head"}
"""Groups of modules by name; embeddings are recognized by the end of their names."""


def describe(overrides: Sequence[str]) -> dict[str, Any]:
    """Describes parameters, FLOPs, memory and modules of a model, as plain values.

    Args:
        overrides: words of the command line, such as ``model=gpt2``.
    Returns:
        a mapping that can be written as JSON.
    Raises:
        Refused: with every problem of model and data, one per line.
    """
    composed = _compose(overrides)
    given, start, checked, plan, data = composed.given, composed.start, composed.checked, composed.plan, composed.data
    _require_positions(plan, data["length"])
    vocabulary = find_vocabulary_size(plan, checked, {**given, "data": data})
    model = build_on_meta(plan, vocabulary)
    costs = compute_cost(model, data["length"], data["length"])
    counted = measure_modules(model, costs.length, costs.source)
    return {
        **asdict(costs),
        "buffers": count_buffers(model),
        "executed_flops_per_token": measure_executed_flops_per_token(model, costs.length, costs.source),
        **{name: counted[name] for name in _COSTS},
        "vocabulary": vocabulary,
        "shares": compute_shares(counted),
        "flops_shares": compute_shares(counted, "flops"),
        "modules": counted["modules"],
        "model": {**checked, **start.keys},
        "default_objective": describe_default_objective(given["objective"], checked["variant"], data["name"]),
        "task_head": None if start.task is None else _describe_task_head(start.task),
    }


def plan_overrides(overrides: Sequence[str]) -> tuple[ModelPlan, int]:
    """Plans the model of overrides, and finds the size of its vocabulary.

    Raises:
        Refused: with every problem of model and data, one per line.
    """
    composed = _compose(overrides)
    given = {**composed.given, "data": composed.data}
    return composed.plan, find_vocabulary_size(composed.plan, composed.checked, given)


@dataclass(frozen=True)
class _Composed:
    """A composed config, the checkpoint that it starts from, and its checked model and data."""

    given: Mapping[str, Any]
    start: Start
    checked: dict[str, Any]
    plan: ModelPlan
    data: dict[str, Any]


def _compose(overrides: Sequence[str]) -> _Composed:
    given = compose_run(overrides)
    problems: list[str] = []
    start = resolve_checkpoint_config(given["model"], given["data"], problems)
    checked, plan, found = build.check(start.model)
    data = check_data(_fit_length(start.data, plan, overrides) if start.keys else start.data, problems)
    problems += [] if start.failed else found
    if problems or plan is None:
        raise Refused("\n".join(problems))
    return _Composed(given, start, checked, plan, data)


def _describe_task_head(head: KeptHead) -> dict[str, Any]:
    """Describes a task head that is kept beside the model."""
    return {"architecture": head.architecture, "parameters": head.parameters}


def _fit_length(data: Mapping[str, Any], plan: ModelPlan | None, overrides: Sequence[str]) -> dict[str, Any]:
    """Shortens the rows of the data to the positions of a checkpoint, unless the command line sets a length."""
    if any(line.startswith("data.length=") for line in overrides):
        return dict(data)
    limits = [limit for stack in (plan.stacks if plan else ()) for _, limit in build.list_length_limits(stack)]
    return {**data, "length": min([int(data.get("length", 128)), *limits])}


def _require_positions(plan: ModelPlan, length: int) -> None:
    short = {part.path: (part.name, limit) for stack in plan.stacks for part, limit in build.list_length_limits(stack)}
    problems = [
        f"{path}: {name} has {limit} positions: got data.length={length}"
        for path, (name, limit) in short.items()
        if limit < length
    ]
    if problems:
        raise Refused("\n".join(problems))


def find_vocabulary_size(plan: ModelPlan, model: Mapping[str, Any], given: Mapping[str, Any]) -> int:
    """Finds the size of the vocabulary in the options of model or tokenizer, or by tokenizing the data.

    Special tokens are those of the objective; by default, of the objective that belongs to the variant.
    """
    if plan.vocabulary is not None:
        return plan.vocabulary
    problems: list[str] = []
    data = DataConfig.from_mapping(given["data"])
    objective = check_objective(given.get("objective"), model, given["data"], problems)
    if problems:
        raise Refused("\n".join(problems))
    required = find_required_tokens(ComponentConfig.from_mapping(objective), ModelConfig(model), data)
    if (size := data.tokenizer.options.get("vocabulary")) is not None:
        return int(size) + len(OURS.list_required(required))
    from zoo.training.run import prepare_section

    return prepare_section(data, given["cache"], required).vocabulary.size


def compute_shares(counted: Mapping[str, Any], figure: str = "parameters") -> dict[str, float]:
    """Computes the share of each group of modules in the parameters or the forward FLOPs.

    Args:
        counted: tree of modules with their costs, as from :func:`zoo.model.cost.measure_modules`.
        figure: ``parameters`` or ``flops``.
    Returns:
        shares of attention, ffn, embedding, head and other, which sum to 1.
    """
    total = max(1, _get_amount(counted, figure))
    found = {"attention": 0, "ffn": 0, "embedding": 0, "head": 0}
    _sum_groups(counted["modules"], figure, found)
    known = {name: amount / total for name, amount in found.items()}
    return {**known, "other": 1 - sum(known.values())}


def _sum_groups(modules: Mapping[str, Any], figure: str, found: dict[str, int]) -> None:
    for name, module in modules.items():
        group = "embedding" if name.endswith("embedding") else _GROUPS.get(name)
        if group is None:
            _sum_groups(module["modules"], figure, found)
        else:
            found[group] += _get_amount(module, figure)


def _get_amount(module: Mapping[str, Any], figure: str) -> int:
    value = module[figure]
    return int((value or {}).get("forward", 0) if figure == "flops" else value or 0)


# --------------------------------------------------------------------------------------------------------- the terminal


def render(description: Mapping[str, Any], terminal: Terminal | None = None) -> None:
    """Prints the model as a tree with costs by module, followed by the totals."""
    terminal = terminal or Terminal()
    active, parameters = description["active_parameters"], description["parameters"]
    suffix = f", {active:,} of them active" if active != parameters else ""
    terminal.print(Text.assemble((description["model"]["variant"], "bold"), f"  {parameters:,} parameters{suffix}"))
    print_table(terminal, _build_columns(description["modules"], active != parameters))
    terminal.print()
    print_table(
        terminal, _build_share_table({"parameters": description["shares"], "operations": description["flops_shares"]})
    )
    terminal.print()
    for line in _summarize(description):
        terminal.print_line(line)


def _build_columns(modules: Mapping[str, Any], active: bool) -> list[Column]:
    """Builds the columns of the tree; on a narrow terminal, the columns of memory are dropped first."""
    lines = list(_list_lines(modules, ""))
    columns = [Column("", [label for label, _, _ in lines], left=True)]
    columns += [Column("parameters", [_format_total(module["parameters"], times) for _, module, times in lines])]
    if active:
        found = [_format_total(module["active_parameters"] or 0, times) for _, module, times in lines]
        columns += [Column("active", found, dropped=3)]
    columns += [Column("FLOPs", [_format_total(_get_amount(module, "flops"), times) for _, module, times in lines])]
    for dropped, head, name in ((2, "cache", "cache_bytes"), (1, "activations", "activation_bytes")):
        columns += [Column(head, [_format_bytes(times * module[name]) for _, module, times in lines], dropped=dropped)]
    return [*columns, Column("", [module["class"] for _, module, _ in lines], left=True, dropped=4, style="dim")]


def _list_lines(modules: Mapping[str, Any], guide: str) -> Iterator[tuple[str, Mapping[str, Any], int]]:
    """Yields label, module and count of each line of the tree; consecutive equal layers share one line.

    A ``ModuleList`` has no line of its own: its items take its place.
    """
    shown = list(_fold_equal_layers(modules))
    for place, (name, module, times) in enumerate(shown):
        last = place == len(shown) - 1
        yield f"{guide}{'└─ ' if last else '├─ '}{name}", module, times
        for label, part, inner in _list_lines(module["modules"], guide + ("   " if last else "│  ")):
            yield label, part, times * inner


def _fold_equal_layers(modules: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any], int]]:
    names = [name for name, module in modules.items() if _is_shown(module)]
    while names:
        first, module = names[0], modules[names[0]]
        run = 1
        while first.isdigit() and run < len(names) and modules[names[run]] == module:
            run += 1
        label = f"{prefix}{first} to {names[run - 1]}" if run > 1 else prefix + first
        if module["class"] == "ModuleList":
            yield from _fold_equal_layers(module["modules"], f"{label} ")
        else:
            yield label, module, run
        names = names[run:]


def _is_shown(module: Mapping[str, Any]) -> bool:
    return bool(module["parameters"] or module["cache_bytes"] or _get_amount(module, "flops"))


def _format_total(value: int, times: int) -> str:
    return format_count(value * times) if value else ""


def _format_bytes(value: int) -> str:
    text = format_count(value)
    return "" if not value else f"{text}B" if text[-1].isalpha() else f"{text} B"


def _build_share_table(rows: Mapping[str, Mapping[str, float]]) -> list[Column]:
    names = next(iter(rows.values()))
    return [
        Column("shares", list(rows), left=True),
        *(Column(name, [f"{parts[name]:.0%}" for parts in rows.values()]) for name in names),
    ]


def _summarize(description: Mapping[str, Any]) -> Iterator[str]:
    length, source, flops = description["length"], description["source"], description["flops"]
    row = f"a row of {length} tokens" + (f" that reads {source}" if source else "")
    yield f"{row}: {format_count(flops['forward'])} operations forward, {format_count(flops['backward'])} backward"
    if description["buffers"]:
        yield f"buffers: {description['buffers']:,} values are saved but not trained"
    kept = _format_bytes(description["activation_bytes"])
    needed, executed = description["flops_per_token"], description["executed_flops_per_token"]
    yield f"training: {needed:,} operations a token; activations {kept}"
    if executed is not None and is_different(executed, needed):
        yield f"this implementation executes {executed:,} operations a token, {executed / needed - 1:+.0%}"
    if description["cache_bytes"]:
        further = _format_bytes(description["cache_bytes_per_token"]) or "nothing"
        yield f"decoding: cache {_format_bytes(description['cache_bytes'])}, {further} for each additional token"
    if (head := description["task_head"]) is not None:
        whole = description["parameters"] + head["parameters"]
        yield f"{head['architecture']} has {whole:,} parameters: {head['parameters']:,} are kept beside the model"
    if chosen := description["default_objective"]:
        yield chosen
    yield f"vocabulary {description['vocabulary']:,}; bytes are those of float32"

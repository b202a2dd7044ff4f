"""``zoo show``: what a composed model is made of and what it costs, without memory for its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.text import Text

from zoo.checks import Refused
from zoo.config.checking import check_data, check_objective, required_tokens
from zoo.config.checkpoint_start import start_without_weights
from zoo.config.compose import compose_run
from zoo.data.special import OURS
from zoo.hub.task_heads import KeptHead
from zoo.model import build
from zoo.model.cost import bill, buffers, cost, on_meta
from zoo.model.executed_flops import executed_flops_per_token
from zoo.model.plan import ModelPlan
from zoo.system.tables import Column, Terminal, print_table
from zoo.units import count, is_apart

_COSTS = ("flops", "cache_bytes", "cache_bytes_per_token", "activation_bytes")
_GROUPS = {"attention": "attention", "cross": "attention", "ffn": "ffn", "head": "head"}
"""The share that a module belongs to, by its name; ``embedding`` may have a longer one."""


def describe(overrides: Sequence[str]) -> dict[str, Any]:
    """Parameters, operations, memory and modules of a model, as plain values.

    Raises:
        Refused: with every problem of model and data, one a line.
    """
    given = compose_run(overrides)
    problems: list[str] = []
    start = start_without_weights(given["model"], given["data"], problems)
    checked, plan, found = build.check(start.model)
    data = check_data(_with_room(start.data, plan, overrides) if start.keys else start.data, problems)
    problems += [] if start.failed else found
    if problems or plan is None:
        raise Refused("\n".join(problems))
    _require_room(plan, data["length"])
    vocabulary = vocabulary_size(plan, checked, {**given, "data": data})
    model = on_meta(plan, vocabulary)
    costs = cost(model, data["length"], data["length"])
    counted = bill(model, costs.length, costs.source)
    return {
        **asdict(costs),
        "buffers": buffers(model),
        "executed_flops_per_token": executed_flops_per_token(model, costs.length, costs.source),
        **{name: counted[name] for name in _COSTS},
        "vocabulary": vocabulary,
        "shares": shares(counted),
        "flops_shares": shares(counted, "flops"),
        "modules": counted["modules"],
        "model": {**checked, **start.keys},
        "task_head": None if start.task is None else _beside(start.task),
    }


def _beside(head: KeptHead) -> dict[str, Any]:
    """A task head that is kept beside the model, and how many parameters it has."""
    return {"architecture": head.architecture, "parameters": head.parameters}


def _with_room(data: Mapping[str, Any], plan: ModelPlan | None, overrides: Sequence[str]) -> dict[str, Any]:
    """Data for a checkpoint that is looked at: unless a length was asked for, a row fits its positions."""
    if any(line.startswith("data.length=") for line in overrides):
        return dict(data)
    limits = [limit for stack in (plan.stacks if plan else ()) for _, limit in build.limits(stack)]
    return {**data, "length": min([int(data.get("length", 128)), *limits])}


def _require_room(plan: ModelPlan, length: int) -> None:
    short = {part.path: (part.name, limit) for stack in plan.stacks for part, limit in build.limits(stack)}
    problems = [
        f"{path}: {name} has {limit} positions: got data.length={length}"
        for path, (name, limit) in short.items()
        if limit < length
    ]
    if problems:
        raise Refused("\n".join(problems))


def vocabulary_size(plan: ModelPlan, model: Mapping[str, Any], given: Mapping[str, Any]) -> int:
    """Of the model or the tokenizer if their options say it, else of the data, which is tokenized for it.

    Special tokens are those of the objective, or of the variant's own where another one is not chosen.
    """
    if plan.vocabulary is not None:
        return plan.vocabulary
    problems: list[str] = []
    config = {"model": model, "data": given["data"], "cache": given["cache"]}
    config["objective"] = check_objective(given.get("objective"), config, problems)
    if problems:
        raise Refused("\n".join(problems))
    if (size := given["data"]["tokenizer"].get("vocabulary")) is not None:
        return int(size) + len(OURS.spellings(required_tokens(config)))
    from zoo.training.run import prepare_data

    return prepare_data(config).vocabulary.size


def shares(counted: Mapping[str, Any], figure: str = "parameters") -> dict[str, float]:
    """Which share of the parameters, or of the forward operations, each sort of part has."""
    total = max(1, _amount(counted, figure))
    found = {"attention": 0, "ffn": 0, "embedding": 0, "head": 0}
    _add_up(counted["modules"], figure, found)
    known = {name: amount / total for name, amount in found.items()}
    return {**known, "other": 1 - sum(known.values())}


def _add_up(modules: Mapping[str, Any], figure: str, found: dict[str, int]) -> None:
    for name, module in modules.items():
        group = "embedding" if name.endswith("embedding") else _GROUPS.get(name)
        if group is None:
            _add_up(module["modules"], figure, found)
        else:
            found[group] += _amount(module, figure)


def _amount(module: Mapping[str, Any], figure: str) -> int:
    value = module[figure]
    return int((value or {}).get("forward", 0) if figure == "flops" else value or 0)


# --------------------------------------------------------------------------------------------------------- the terminal


def render(described: Mapping[str, Any]) -> None:
    """Print the model as a tree with costs by module, and what they add up to."""
    terminal = Terminal()
    active, parameters = described["active_parameters"], described["parameters"]
    some = f", {active:,} of them active" if active != parameters else ""
    terminal.print(Text.assemble((described["model"]["variant"], "bold"), f"  {parameters:,} parameters{some}"))
    print_table(terminal, _columns(described["modules"], active != parameters))
    terminal.print()
    print_table(terminal, _shares({"parameters": described["shares"], "operations": described["flops_shares"]}))
    terminal.print()
    for line in _summary(described):
        terminal.print_line(line)


def _columns(modules: Mapping[str, Any], active: bool) -> list[Column]:
    """A line for each module that holds or does something; memory is left out first where there is no room."""
    lines = list(_lines(modules, ""))
    columns = [Column("", [label for label, _, _ in lines], left=True)]
    columns += [Column("parameters", [_times(module["parameters"], times) for _, module, times in lines])]
    if active:
        found = [_times(module["active_parameters"] or 0, times) for _, module, times in lines]
        columns += [Column("active", found, dropped=3)]
    columns += [Column("FLOPs", [_times(_amount(module, "flops"), times) for _, module, times in lines])]
    for dropped, head, name in ((2, "cache", "cache_bytes"), (1, "activations", "activation_bytes")):
        columns += [Column(head, [_bytes(times * module[name]) for _, module, times in lines], dropped=dropped)]
    return [*columns, Column("", [module["class"] for _, module, _ in lines], left=True, dropped=4, style="dim")]


def _lines(modules: Mapping[str, Any], guide: str) -> Iterator[tuple[str, Mapping[str, Any], int]]:
    """Every line of the tree: its label, the module, and for how many equal neighbours it stands, as layers mostly do.

    The parts of a list stand where the list is.
    """
    shown = list(_folded(modules))
    for place, (name, module, times) in enumerate(shown):
        last = place == len(shown) - 1
        yield f"{guide}{'└─ ' if last else '├─ '}{name}", module, times
        for label, part, inner in _lines(module["modules"], guide + ("   " if last else "│  ")):
            yield label, part, times * inner


def _folded(modules: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any], int]]:
    names = [name for name, module in modules.items() if _shown(module)]
    while names:
        first, module = names[0], modules[names[0]]
        run = 1
        while first.isdigit() and run < len(names) and modules[names[run]] == module:
            run += 1
        label = f"{prefix}{first} to {names[run - 1]}" if run > 1 else prefix + first
        if module["class"] == "ModuleList":
            yield from _folded(module["modules"], f"{label} ")
        else:
            yield label, module, run
        names = names[run:]


def _shown(module: Mapping[str, Any]) -> bool:
    return bool(module["parameters"] or module["cache_bytes"] or _amount(module, "flops"))


def _times(value: int, times: int) -> str:
    return count(value * times) if value else ""


def _bytes(value: int) -> str:
    text = count(value)
    return "" if not value else f"{text}B" if text[-1].isalpha() else f"{text} B"


def _shares(rows: Mapping[str, Mapping[str, float]]) -> list[Column]:
    names = next(iter(rows.values()))
    return [
        Column("shares", list(rows), left=True),
        *(Column(name, [f"{parts[name]:.0%}" for parts in rows.values()]) for name in names),
    ]


def _summary(described: Mapping[str, Any]) -> Iterator[str]:
    length, source, flops = described["length"], described["source"], described["flops"]
    row = f"a row of {length} tokens" + (f" that reads {source}" if source else "")
    yield f"{row}: {count(flops['forward'])} operations forward, {count(flops['backward'])} backward"
    if described["buffers"]:
        yield f"beside the parameters {described['buffers']:,} numbers are saved and not trained"
    kept = _bytes(described["activation_bytes"])
    needed, executed = described["flops_per_token"], described["executed_flops_per_token"]
    yield f"training: {needed:,} operations a token; activations {kept}"
    if executed is not None and is_apart(executed, needed):
        yield f"this implementation executes {executed:,} operations a token, {executed / needed - 1:+.0%}"
    if described["cache_bytes"]:
        further = _bytes(described["cache_bytes_per_token"]) or "nothing"
        yield f"decoding: cache {_bytes(described['cache_bytes'])}, {further} more for each further token"
    if (head := described["task_head"]) is not None:
        whole = described["parameters"] + head["parameters"]
        yield f"{head['architecture']} has {whole:,} parameters: {head['parameters']:,} are kept beside the model"
    yield f"vocabulary {described['vocabulary']:,}; bytes are those of float32"

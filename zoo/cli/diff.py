"""``zoo diff``: prints the differences between two models."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.checks import Refused, suggest
from zoo.cli.parser import Given, Parser
from zoo.system.terminal import say

if TYPE_CHECKING:
    from zoo.hub.plan_difference import Difference
    from zoo.model.plan import ModelPlan

_ORDER = (
    *("variant", "dim", "layers", "shared", "heads", "head_dim", "hidden", "vocabulary", "dropout"),
    *("attention", "cross", "ffn", "norm", "position", "residual"),
    *("embedding", "input_norm", "pooler", "head", "initialization"),
)


def _problems(given: Given) -> Iterable[str]:
    one, other, *overrides = [*given.words, "", ""][: max(2, len(given.words))]
    if not other or any("=" in word and not Path(word).is_dir() for word in (one, other)):
        yield f"zoo diff needs two models, A and B, before any override: got {' '.join(given.words) or 'nothing'}"
    for word in overrides:
        if word.startswith("model="):
            yield f"{word}: A and B choose the models: got {one} and {other}"
        elif "=" not in word and not word.startswith("~"):
            yield f"{word}: must be an override, as key=value: the models are {one} and {other}"


PARSER = Parser(
    "diff",
    ["A B [OVERRIDE ...]"],
    "print the differences between two models",
    description=(
        "Print the differences between two models: sizes, components and options. If they have different components "
        "of a kind, the options of these are not compared."
    ),
    arguments={
        "A, B": "a preset, such as llama3/8b, or a folder with a config.json",
        "OVERRIDE": "an override that applies to both models, such as model.layers=2",
    },
    examples=["zoo diff llama3/8b qwen3/0_6b", "zoo diff gemma3 path/to/checkpoint --json"],
    check=_problems,
)
PARSER.add_switch("--json", help="print JSON")


def run(given: Given) -> int:
    """Prints the differences, sizes first."""
    from zoo.hub.plan_difference import compare_plans

    one, other, *overrides = given.words
    problems: list[str] = []
    both = [_plan(model, overrides, problems) for model in dict.fromkeys((one, other))]
    if problems:
        raise Refused("\n".join(dict.fromkeys(problems)))
    plans = [plan for plan in both if plan is not None]
    found = sorted(compare_plans(plans[0], plans[-1], training=True), key=_place)
    _print_json(one, other, found) if given.json else _render(one, other, found)
    return 0


def _plan(model: str, overrides: Sequence[str], problems: list[str]) -> ModelPlan | None:
    """Returns the plan of a choice of model or of a folder, and notes problems with its name before them."""
    from zoo.config.checkpoint_start import resolve_checkpoint_config
    from zoo.config.compose import compose_run
    from zoo.config.groups import list_choices
    from zoo.model.build import check

    found: list[str] = []
    folder = (Path(model) / "config.json").is_file()
    if not folder and model not in (known := list_choices("model")):
        problems.append(f"neither a model nor a folder with a config.json: {model!r}: {suggest(model, known)}")
        return None
    given = compose_run(["model=hub" if folder else f"model={model}", *overrides])
    config = {**given["model"], "path": model} if folder else given["model"]
    start = resolve_checkpoint_config(config, given["data"], found)
    _, plan, further = check(start.model)
    problems += [f"{model}: {line}" for line in (found if start.failed else [*found, *further])]
    return plan


def _place(difference: Difference) -> tuple[bool, int]:
    """Returns a sort key: sizes, then parts, then what only some layers have."""
    path, _, layers = difference.path.partition(" (")
    name = next((step for step in path.split(".") if step in _ORDER), "")
    return bool(layers), _ORDER.index(name) if name else len(_ORDER)


def _print_json(one: str, other: str, found: Sequence[Difference]) -> None:
    listed = [{"part": each.path, "one": each.one, "other": each.other} for each in found]
    say(json.dumps({"one": one, "other": other, "differences": listed}, indent=1, ensure_ascii=False))


def _render(one: str, other: str, found: Sequence[Difference]) -> None:
    from zoo.hub.plan_difference import format_value
    from zoo.system.tables import Column, Terminal, print_table

    if not found:
        say(f"{one} and {other} are the same model")
        return
    columns = {
        "part": [each.path for each in found],
        one: [format_value(each.one) for each in found],
        other: [format_value(each.other) for each in found],
    }
    print_table(Terminal(), [Column(head, cells, left=True, wraps=True) for head, cells in columns.items()])

"""``zoo diff``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.checks import Refused, suggest
from zoo.cli.arguments import asks_for_help
from zoo.system.terminal import say

if TYPE_CHECKING:
    from zoo.hub.plan_difference import Difference
    from zoo.model.plan import ModelPlan

HELP = """\
zoo diff A B [OVERRIDES] [--json]

For example: zoo diff llama3/8b qwen3/0_6b
A and B are choices of model, or folders with a config.json; OVERRIDES hold for both. Where they have
another component, its options are not compared.
"""
_ORDER = (
    *("variant", "dim", "layers", "shared", "heads", "head_dim", "hidden", "vocabulary", "dropout"),
    *("attention", "cross", "ffn", "norm", "position", "residual"),
    *("embedding", "input_norm", "pooler", "head", "initialization"),
)


def diff(arguments: Sequence[str]) -> int:
    """``zoo diff A B [OVERRIDES] [--json]``: what differs between two models, part by part."""
    if asks_for_help(arguments):
        say(HELP, end="")
        return 0
    words = [argument for argument in arguments if argument != "--json"]
    one, other, *overrides = [*words, "", ""][: max(2, len(words))]
    _require_sense(one, other, overrides)
    from zoo.hub.plan_difference import differences

    problems: list[str] = []
    both = [_plan(model, overrides, problems) for model in dict.fromkeys((one, other))]
    if problems:
        raise Refused("\n".join(dict.fromkeys(problems)))
    plans = [plan for plan in both if plan is not None]
    found = sorted(differences(plans[0], plans[-1], training=True), key=_place)
    _print_json(one, other, found) if "--json" in arguments else _render(one, other, found)
    return 0


def _require_sense(one: str, other: str, overrides: Sequence[str]) -> None:
    problems = [f"unknown flag {word!r}" for word in (one, other, *overrides) if word.startswith("-")]
    said = " ".join(filter(None, (one, other))) or "nothing"
    if not other or any("=" in word and not Path(word).is_dir() for word in (one, other)):
        problems.append(f"zoo diff must be given two models, and then overrides: got {said}")
    problems += [f"{word}: the models are told by A and B" for word in overrides if word.startswith("model=")]
    problems += [
        f"{word}: must be an override, as key=value: the models are {one} and {other}"
        for word in overrides
        if "=" not in word and not word.startswith(("-", "~"))
    ]
    if problems:
        raise Refused("\n".join(problems))


def _plan(model: str, overrides: Sequence[str], problems: list[str]) -> ModelPlan | None:
    """The plan of a choice of model or of a folder; problems are noted with its name before them."""
    from zoo.config.checkpoint_start import start_without_weights
    from zoo.config.compose import compose_run, group_choices
    from zoo.model.build import check

    found: list[str] = []
    folder = (Path(model) / "config.json").is_file()
    if not folder and model not in (known := group_choices("model")):
        problems.append(f"neither a folder with a config.json nor a model: {model!r}: {suggest(model, known)}")
        return None
    given = compose_run(["model=hub" if folder else f"model={model}", *overrides])
    config = {**given["model"], "path": model} if folder else given["model"]
    start = start_without_weights(config, given["data"], found)
    _, plan, further = check(start.model)
    problems += [f"{model}: {line}" for line in (found if start.failed else [*found, *further])]
    return plan


def _place(difference: Difference) -> tuple[bool, int]:
    """Sizes first, then parts; what only some layers have comes last."""
    path, _, layers = difference.path.partition(" (")
    name = next((step for step in path.split(".") if step in _ORDER), "")
    return bool(layers), _ORDER.index(name) if name else len(_ORDER)


def _print_json(one: str, other: str, found: Sequence[Difference]) -> None:
    listed = [{"part": each.path, "one": each.one, "other": each.other} for each in found]
    say(json.dumps({"one": one, "other": other, "differences": listed}, indent=1, ensure_ascii=False))


def _render(one: str, other: str, found: Sequence[Difference]) -> None:
    from zoo.hub.plan_difference import shown
    from zoo.system.tables import Column, Terminal, print_table

    if not found:
        say(f"{one} and {other} are the same model")
        return
    columns = {
        "part": [each.path for each in found],
        one: [shown(each.one) for each in found],
        other: [shown(each.other) for each in found],
    }
    print_table(Terminal(), [Column(head, cells, left=True, wraps=True) for head, cells in columns.items()])

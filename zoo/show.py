"""``zoo show``: what a composed model is made of and what it costs, without memory for its weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.tree import Tree

from zoo import build
from zoo.checking import check_data
from zoo.checks import Refused
from zoo.config import compose_run
from zoo.cost import cost, on_meta, tree
from zoo.plan import ModelPlan


def describe(overrides: Sequence[str]) -> dict[str, Any]:
    """Parameters, operations and modules of a model, as plain values.

    Raises:
        Refused: with every problem of model and data, one a line.
    """
    given = compose_run(overrides)
    checked, plan, problems = build.check(given["model"])
    data = check_data(given["data"], problems)
    if problems or plan is None:
        raise Refused("\n".join(problems))
    vocabulary = vocabulary_size(plan, data, str(given["cache"]))
    model = on_meta(plan, vocabulary)
    costs = asdict(cost(model, data["length"], data["length"]))
    return {
        **costs,
        "vocabulary": vocabulary,
        "shares": shares(tree(model)),
        "modules": tree(model)["modules"],
        "model": checked,
    }


def vocabulary_size(plan: ModelPlan, data: Mapping[str, Any], cache: str) -> int:
    """Of the model or the tokenizer if their options say it, else of the data, which is tokenized for it."""
    if plan.vocabulary is not None:
        return plan.vocabulary
    if (size := data["tokenizer"].get("vocabulary")) is not None:
        return int(size)
    from zoo.training.run import prepare_data

    return prepare_data({"data": data, "cache": cache}).vocabulary.size


def shares(modules: Mapping[str, Any]) -> dict[str, float]:
    """Which share of the parameters attention, feed-forward and the rest hold."""
    total = max(1, modules["parameters"])
    counted = {"attention": 0, "ffn": 0, "embedding": 0}
    _count(modules["modules"], counted)
    known = {name: count / total for name, count in counted.items()}
    return {**known, "other": 1 - sum(known.values())}


def _count(modules: Mapping[str, Any], counted: dict[str, int]) -> None:
    for name, module in modules.items():
        slot = "attention" if name == "cross" else name
        if slot in counted:
            counted[slot] += module["parameters"]
        else:
            _count(module["modules"], counted)


def render(described: Mapping[str, Any]) -> None:
    """Print the model as a tree with parameters by module."""
    console = Console()
    model = described["model"]
    root = Tree(f"[bold]{model['variant']}[/bold]  {described['parameters']:,} parameters")
    _branch(root, described["modules"])
    console.print(root)
    parts = ", ".join(f"{name} {share:.0%}" for name, share in described["shares"].items())
    rows = f"rows of {described['length']}" + (f" and {described['source']}" if described["source"] else "") + " tokens"
    console.print(f"shares of the parameters: {parts}", highlight=False)
    console.print(
        f"training takes {described['flops_per_token']:,} operations a token, at {rows}; "
        f"vocabulary {described['vocabulary']:,}",
        highlight=False,
    )


def _branch(tree_: Tree, modules: Mapping[str, Any]) -> None:
    """Equal neighbours become one line, as layers mostly are."""
    names = list(modules)
    while names:
        same = [name for name in names if modules[name] == modules[names[0]]]
        run = same if names[0].isdigit() else names[:1]
        module = modules[names[0]]
        label = f"{run[0]} to {run[-1]}" if len(run) > 1 else run[0]
        count = f"{len(run)} x {module['parameters']:,}" if len(run) > 1 else f"{module['parameters']:,}"
        _branch(tree_.add(f"{label}  [dim]{module['class']}[/dim]  {count}"), module["modules"])
        names = [name for name in names if name not in run]

"""``zoo show``: prints the modules, parameters, FLOPs and memory of a composed model."""

from __future__ import annotations

import json
import sys

from zoo.cli.parser import Given, Parser
from zoo.system.terminal import say

PARSER = Parser(
    "show",
    ["[OVERRIDE ...]"],
    "print the modules, parameters, FLOPs and memory of a model",
    description=(
        "Compose a model and print its modules, parameters, FLOPs and memory, without allocating weights.\n\n"
        "FLOPs are those of the forward pass of one row of data.length tokens. The cache is the memory that decoding "
        "needs for that row; activations are the tensors that autograd keeps for its backward pass."
    ),
    arguments={"OVERRIDE": "a preset, a component, or an option, as for zoo train"},
    examples=["zoo show model=llama model/norm=layer model.dim=512", "zoo show model=gemma3/1b --json"],
)
PARSER.add_switch("--json", help="print the exact numbers for each module as JSON")


def run(given: Given) -> int:
    """Prints the composed model, which is built on the meta device."""
    from zoo.cli.unnamed_choices import note_component_changes
    from zoo.inspect.summary import describe, render

    described = describe(given.words)
    note_component_changes(given.words, file=sys.stderr if given.json else None)
    say(json.dumps(described, indent=1, ensure_ascii=False)) if given.json else render(described)
    return 0

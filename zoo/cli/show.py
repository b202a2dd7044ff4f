"""``zoo show``."""

from __future__ import annotations

import json
from collections.abc import Sequence

from zoo.cli.arguments import asks_for_help
from zoo.system.terminal import say

HELP = """\
zoo show OVERRIDES [--json]

For example: zoo show model=llama model/norm=layer model.dim=512
FLOPs are those of the forward pass of one row of data.length tokens; cache is what decoding remembers
of it, activations what autograd keeps of it for the backward pass, up to the logits.
"""


def show(arguments: Sequence[str]) -> int:
    """``zoo show OVERRIDES [--json]``: the composed model, from the meta device."""
    if asks_for_help(arguments):
        say(HELP, end="")
        return 0
    from zoo.inspect.summary import describe, render

    overrides = [argument for argument in arguments if argument != "--json"]
    described = describe(overrides)
    say(json.dumps(described, indent=1, ensure_ascii=False)) if "--json" in arguments else render(described)
    return 0

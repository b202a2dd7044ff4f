"""``zoo list``: prints components, their papers and options; imports neither torch nor Hydra."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence

from zoo.checks import suggest
from zoo.cli.parser import Given, Parser
from zoo.registry import KINDS, Entry, get_index
from zoo.system.terminal import say


def _problems(given: Given) -> Iterable[str]:
    return [f"unknown kind {kind!r}: {suggest(kind, KINDS)}" for kind in given.words if kind not in KINDS]


PARSER = Parser(
    "list",
    ["[KIND ...]"],
    "list components, their papers and options",
    description="List the registered components of all kinds, or of the given ones, with their papers and options.",
    arguments={"KIND": ", ".join(KINDS)},
    examples=["zoo list", "zoo list attention", "zoo list --json"],
    check=_problems,
)
PARSER.add_switch("--json", help="print JSON, including the class of each component")


def run(given: Given) -> int:
    """Prints the components; plug-ins that cannot be read are lines on the standard error."""
    everything = get_index()
    for line in everything.broken:
        say(f"zoo: {line}", file=sys.stderr)
    chosen = [entry for entry in everything.entries.values() if not given.words or entry.kind in given.words]
    chosen.sort(key=lambda entry: (KINDS.index(entry.kind), entry.name))
    if given.json:
        say(json.dumps([entry.as_json() for entry in chosen], indent=1, ensure_ascii=False))
    else:
        _print_kinds(chosen)
    return 0


def _print_kinds(chosen: Sequence[Entry]) -> None:
    width = max((len(entry.name) for entry in chosen), default=0)
    for kind in dict.fromkeys(entry.kind for entry in chosen):
        say(f"\n{kind}")
        for entry in (entry for entry in chosen if entry.kind == kind):
            notes = "".join(f" [{note}]" for note in (entry.paper, entry.distribution) if note)
            say(f"  {entry.name:{width}}  {entry.description}{notes}")
            for option in entry.options:
                default = "" if option.as_json()["required"] else f" = {json.dumps(option.default)}"
                say(f"  {'':{width}}    {option.name}: {option.type}{default}")

"""``zoo list``: components, their papers and options; imports neither torch nor Hydra."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from zoo.checks import Refused, suggest
from zoo.registry import KINDS, index
from zoo.system.terminal import say


def list_components(arguments: Sequence[str]) -> int:
    """``zoo list [KIND] [--json]``."""
    if {"-h", "--help"} & set(arguments):
        say("zoo list [KIND] [--json]\n\nKINDS: " + ", ".join(KINDS))
        return 0
    kinds = [argument for argument in arguments if argument != "--json"]
    for kind in kinds:
        if kind not in KINDS:
            raise Refused(f"unknown kind {kind!r}: {suggest(kind, KINDS)}")
    everything = index()
    for line in everything.broken:
        say(f"zoo: {line}", file=sys.stderr)
    chosen = [entry for entry in everything.entries.values() if not kinds or entry.kind in kinds]
    chosen.sort(key=lambda entry: (KINDS.index(entry.kind), entry.name))
    if "--json" in arguments:
        say(json.dumps([entry.as_json() for entry in chosen], indent=1, ensure_ascii=False))
        return 0
    width = max((len(entry.name) for entry in chosen), default=0)
    for kind in KINDS:
        entries = [entry for entry in chosen if entry.kind == kind]
        if not entries:
            continue
        say(f"\n{kind}")
        for entry in entries:
            notes = "".join(f" [{note}]" for note in (entry.paper, entry.distribution) if note)
            say(f"  {entry.name:{width}}  {entry.description}{notes}")
            for option in entry.options:
                default = "" if option.as_json()["required"] else f" = {json.dumps(option.default)}"
                say(f"  {'':{width}}    {option.name}: {option.type}{default}")
    return 0

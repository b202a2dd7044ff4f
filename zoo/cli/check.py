"""``zoo check``: checks that components meet the contract of their kind."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.checks import Refused, suggest
from zoo.cli.parser import Given, Parser
from zoo.system.terminal import escape_controls, say

if TYPE_CHECKING:
    from zoo.testing.kit import Status


def _problems(given: Given) -> Iterable[str]:
    if given.jobs is not None and given.jobs < 1:
        yield f"--jobs: must be positive: got {given.jobs}"
    if not (given.words or given.all or given.list):
        yield "nothing to check: give KIND/NAME, package.module:Class or --all"


PARSER = Parser(
    "check",
    ["KIND/NAME ...", "package.module:Class ...", "--all", "--list"],
    "check that components meet the contract of their kind",
    description=(
        "Check that components meet the contract of their kind. Exits with 1 if one fails.\n\n"
        "A check of a model or an option runs once in every variant that accepts the component, with default options "
        "and with every other value of each option. The output counts these runs."
    ),
    arguments={
        "KIND/NAME": "a registered component, such as attention/latent",
        "package.module:Class": "a registered class in a module that can be imported from the current folder",
    },
    examples=["zoo check attention/grouped_query --only cached_equals_full", "zoo check --all --jobs 4"],
    needs_words=True,
    check=_problems,
)
PARSER.add_switch("--all", help="check every component, including those of plug-ins")
PARSER.add_value(
    "--only", "CHECK", is_list=True, help="run only this check and those that it depends on; may be repeated"
)
PARSER.add_value("--jobs", "N", kind=int, help="use N processes. Default: one for each core")
PARSER.add_switch("--list", help="print all checks and what they require")


@dataclass(frozen=True)
class Report:
    """The outcomes of all checks of one component: their number by status, and the lines of those not passed."""

    component: str
    counts: Counter[Status]
    lines: tuple[str, ...]


def run(given: Given) -> int:
    """Runs the checks and prints the outcomes; returns 1 if a component fails."""
    import joblib
    from rich.text import Text

    from zoo.system.tables import Terminal
    from zoo.testing import CHECKS, FAILURES

    sys.path.insert(0, os.getcwd())  # a class that is not installed is looked for where the command is called
    if given.list:
        _list_checks()
        return 0
    for name in given.only:
        if name not in CHECKS:
            raise Refused(f"unknown check {name!r}: {suggest(name, CHECKS)}")
    components = _components(given)
    jobs = min(given.jobs or joblib.cpu_count(), len(components))
    terminal = Terminal()
    total: Counter[Status] = Counter()
    for report in _check_all(components, given.only, jobs):
        total += report.counts
        bad = any(report.counts[status] for status in FAILURES)
        word = ("failed", "red") if bad else ("passed", "green")
        line = Text.assemble(escape_controls(report.component), "  ", word, f"  {_format_counts(report.counts)}")
        terminal.print(line, soft_wrap=True)
        for text in report.lines:
            terminal.print_line(text)
    count = len(components)
    terminal.print_line(f"\n{count} component{'s' if count != 1 else ''}, {_format_counts(total)}")
    return 1 if any(total[status] for status in FAILURES) else 0


def _format_counts(counts: Counter[Status]) -> str:
    parts = [f"{counts[status]:,} {status}" for status in counts if counts[status]]
    return f"{sum(counts.values()):,} checks: " + ", ".join(parts)


def _components(given: Given) -> list[str]:
    """Returns the components that are named, each of which can be loaded; all of them with ``--all``."""
    from zoo.registry import get_index
    from zoo.testing import find_component

    named = [*given.words, *(f"{kind}/{name}" for kind, name in (get_index().entries if given.all else ()))]
    for component in named:
        find_component(component)
    return list(dict.fromkeys(named))


def _check_all(components: Sequence[str], only: Sequence[str], jobs: int) -> Iterator[Report]:
    """Yields the report of each component as soon as it is there; with several jobs each is checked in a process."""
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    if jobs <= 1:
        yield from (_check(component, only) for component in components)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        for future in as_completed([pool.submit(_check, component, only) for component in components]):
            yield future.result()


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _check(component: str, only: Sequence[str]) -> Report:
    from zoo.testing import check_component

    counts: Counter[Status] = Counter()
    lines = []
    for outcome in check_component(component, only):
        counts[outcome.status] += 1
        if outcome.status != "passed":
            lines.append(outcome.line)
    return Report(component, counts, tuple(lines))


def _list_checks() -> None:
    from zoo.testing import CHECKS

    for scope in dict.fromkeys(item.scope for item in CHECKS.values()):
        lines = [f"  {item.name}: {item.description}" for item in CHECKS.values() if item.scope == scope]
        say("\n".join([f"\n{scope}", *lines]))

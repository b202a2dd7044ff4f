"""``zoo check``: run the kit and print what it found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context

import joblib
from rich.text import Text

from zoo.checks import Refused, suggest
from zoo.registry import index
from zoo.system.tables import Terminal
from zoo.system.terminal import escape_controls, say
from zoo.testing.kit import BAD, CHECKS, Status
from zoo.testing.run_checks import check_component, found

USAGE = """\
zoo check KIND/NAME ... | package.module:Class ... | --all

  --only CHECK   run this check alone (and what it presupposes); may be given several times
  --jobs N       processes; one for each core where not given
  --list         the checks, and what each of them says

For example: zoo check attention/grouped_query --only cached_is_full"""


@dataclass(frozen=True)
class Found:
    """What the kit found of one component."""

    component: str
    counts: Counter[Status]
    lines: tuple[str, ...]


def command(arguments: Sequence[str]) -> int:
    """Run ``zoo check``; 1 where a component fails."""
    if {"-h", "--help"} & set(arguments) or not arguments:
        say(USAGE)
        return 0 if arguments else 2
    if "--list" in arguments:
        _list_checks()
        return 0
    only = _values("--only", arguments)
    for name in only:
        if name not in CHECKS:
            raise Refused(f"unknown check {name!r}: {suggest(name, CHECKS)}")
    jobs = _jobs(arguments)
    components = _components(arguments, {*only, *_values("--jobs", arguments)})
    terminal = Terminal()
    total: Counter[Status] = Counter()
    for result in _run(components, only, min(jobs, len(components))):
        total += result.counts
        bad = any(result.counts[status] for status in BAD)
        word = ("failed", "red") if bad else ("passed", "green")
        told = Text.assemble(escape_controls(result.component), "  ", word, f"  {_counted(result.counts)}")
        terminal.print(told, soft_wrap=True)
        for line in result.lines:
            terminal.print_line(line)
    terminal.print_line(f"\n{len(components)} components, {_counted(total)}")
    return 1 if any(total[status] for status in BAD) else 0


def _counted(counts: Counter[Status]) -> str:
    parts = [f"{counts[status]:,} {status}" for status in counts if counts[status]]
    return f"{sum(counts.values()):,} checks: " + ", ".join(parts)


def _jobs(arguments: Sequence[str]) -> int:
    asked = (_values("--jobs", arguments) or [str(joblib.cpu_count())])[-1]
    if not asked.isdigit() or int(asked) < 1:
        raise Refused(f"--jobs must be a positive number: got {asked}")
    return int(asked)


def _values(flag: str, arguments: Sequence[str]) -> list[str]:
    return [after for here, after in pairwise(arguments) if here == flag]


def _components(arguments: Sequence[str], taken: set[str]) -> list[str]:
    named = [item for item in arguments if not item.startswith("-") and item not in taken]
    unknown = [item for item in arguments if item.startswith("-") and item not in ("--all", "--only", "--jobs")]
    if unknown:
        raise Refused(f"unknown option {unknown[0]}: {suggest(unknown[0], ('--all', '--only', '--jobs', '--list'))}")
    if "--all" in arguments:
        named += [f"{kind}/{name}" for kind, name in index().entries]
    if not named:
        raise Refused("nothing to check: give KIND/NAME, package.module:Class or --all")
    for component in named:
        found(component)
    return list(dict.fromkeys(named))


def _run(components: Sequence[str], only: Sequence[str], jobs: int) -> Iterator[Found]:
    """Each component in a process of its own choosing; results come as they are found."""
    if jobs <= 1:
        yield from (_check(component, only) for component in components)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        for done in as_completed([pool.submit(_check, component, only) for component in components]):
            yield done.result()


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _check(component: str, only: Sequence[str]) -> Found:
    counts: Counter[Status] = Counter()
    lines = []
    for outcome in check_component(component, only):
        counts[outcome.status] += 1
        if outcome.status != "passed":
            lines.append(outcome.line)
    return Found(component, counts, tuple(lines))


def _list_checks() -> None:
    scope = ""
    for item in CHECKS.values():
        if item.scope != scope:
            scope = item.scope
            say(f"\n{scope}")
        say(f"  {item.name}: {item.description}")

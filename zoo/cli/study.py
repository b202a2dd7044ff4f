"""``zoo study``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zoo.checks import Refused
from zoo.cli.arguments import (
    HYDRA_FLAGS,
    asks_for_help,
    hydra_words,
    is_hydras,
    overrides_of,
    refuse_unknown,
    require_flags,
    take_values,
)
from zoo.cli.train import hand_over
from zoo.system.terminal import say

if TYPE_CHECKING:
    from zoo.study.cells.overview import Overview

HELP = """\
zoo study STUDY [KEYS] [OVERRIDES]
zoo study KEYS [OVERRIDES]

STUDY is a name under experiments/, a folder, or a study.yaml.
KEYS are those of a study.yaml, in place of what the file says: seeds=3 match=none. Without a file they are the
study: model=gpt data=numbers 'arms={rms: {model/norm: rms}, dyt: {model/norm: dyt}}' seeds=5
OVERRIDES hold for all runs: steps=100, hydra/launcher=basic, threads=2

  --dry-run [--json]           print the runs, and train nothing
  --status [--json]            where it stands, also while it runs elsewhere
  --status --watch             the same, until all runs are done
  --on-failure {go_on,stop}    what follows a run that failed (go_on)
  --retries N                  how often a run that failed is tried again (0)
  --allow-target MODULE        a study file may name what MODULE defines, and so run its code
"""
_FLAGS = frozenset(("--dry-run", "--status", "--json", "--watch"))


def study(arguments: Sequence[str]) -> int:
    """``zoo study``: a Hydra sweep over the cells of a study."""
    flags = _FLAGS & set(arguments)
    rest, policy = _policy([argument for argument in arguments if argument not in flags])
    if asks_for_help(arguments) or not rest:
        say(HELP, end="")
        return 0 if asks_for_help(arguments) else 2
    for flag, others in (("--json", ("--status", "--dry-run")), ("--watch", ("--status",))):
        if flag in flags and not flags & set(others):
            raise Refused(f"{flag}: goes with {' or '.join(others)}")
    if "--status" in flags and "--watch" not in flags and (known := _recall(rest)) is not None:
        _show(known, as_json="--json" in flags)
        return 0
    asked_for, further, hydras = parsed(rest)
    from zoo.study.plan.command_line import as_override
    from zoo.study.run_study import forecast, local_launcher, look, watch

    launcher = local_launcher([*hydras, *further])
    threads = [line for line in launcher if not is_hydras(line)]
    if "--status" in flags:
        if "--watch" in flags:
            watch(asked_for, [*threads, *further])
        else:
            _show(look(asked_for, [*threads, *further]), as_json="--json" in flags)
        return 0
    if "--json" in flags:
        say(json.dumps(forecast(asked_for, [*threads, *further]), indent=1, ensure_ascii=False))
        return 0
    dry_run = f"hydra.sweeper.dry_run={str('--dry-run' in flags).lower()}"
    chosen = ["hydra/sweeper=zoo_study", as_override(asked_for), dry_run, *policy]
    return hand_over(hydra_words(["-m", *chosen, *launcher, *hydras, *further]))


def _recall(arguments: Sequence[str]) -> Overview | None:
    """Returns where a study stands by the cells that were kept of it, without composing; None if there are none."""
    from zoo.study.cells.snapshot import Request, recall

    words = _request_words(arguments)
    request = None if words is None else Request.read(words)
    return None if request is None else recall(request)


def _request_words(arguments: Sequence[str]) -> list[str] | None:
    """Returns the arguments that choose the runs of a study; None if flags of Hydra may choose them too."""
    rest, allowed = take_values(arguments, "--allow-target")
    words = overrides_of(rest)
    own = [word for word in words if not is_hydras(word)]
    return [*own, *(f"--allow-target={module}" for module in allowed)] if len(words) == len(rest) else None


def _show(overview: Overview, *, as_json: bool) -> None:
    if as_json:
        say(json.dumps(overview.as_json(), indent=1, ensure_ascii=False))
        return
    from zoo.system.tables import Terminal

    overview.print(Terminal())


def parsed(arguments: Sequence[str]) -> tuple[str, list[str], list[str]]:
    """The study that is asked for, the overrides that come last in all runs, and what is for Hydra alone."""
    from zoo.study.plan.command_line import asked

    request = _request_words(arguments)
    arguments, allowed = take_values(arguments, "--allow-target")
    require_flags(arguments, HYDRA_FLAGS)
    words = overrides_of(arguments)
    hydras = [word for word in arguments if word not in words or is_hydras(word)]
    asked_for, further = asked([word for word in words if not is_hydras(word)], allowed, request)
    refuse_unknown([*(word for word in words if is_hydras(word)), *further])
    return asked_for, further, hydras


def _policy(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What follows a failure is told to the sweeper; the other arguments, and its overrides."""
    rest, policy = list(arguments), []
    for flag, key in (("--on-failure", "on_failure"), ("--retries", "retries")):
        rest, values = take_values(rest, flag)
        policy += [f"hydra.sweeper.{key}={value}" for value in values]
    return rest, policy

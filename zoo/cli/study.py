"""``zoo study``."""

from __future__ import annotations

import json
from collections.abc import Sequence

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
    asked_for, further, hydras = parsed(rest)
    from zoo.study.plan.command_line import as_override
    from zoo.study.run_study import forecast, local_launcher, status

    launcher = local_launcher([*hydras, *further])
    threads = [line for line in launcher if not is_hydras(line)]
    if "--status" in flags:
        status(asked_for, [*threads, *further], as_json="--json" in flags, watch="--watch" in flags)
        return 0
    if "--json" in flags:
        say(json.dumps(forecast(asked_for, [*threads, *further]), indent=1, ensure_ascii=False))
        return 0
    dry_run = f"hydra.sweeper.dry_run={str('--dry-run' in flags).lower()}"
    chosen = ["hydra/sweeper=zoo_study", as_override(asked_for), dry_run, *policy]
    return hand_over(hydra_words(["-m", *chosen, *launcher, *hydras, *further]))


def parsed(arguments: Sequence[str]) -> tuple[str, list[str], list[str]]:
    """The study that is asked for, the overrides that come last in all runs, and what is for Hydra alone."""
    from zoo.study.plan.command_line import asked

    arguments, allowed = take_values(arguments, "--allow-target")
    require_flags(arguments, HYDRA_FLAGS)
    words = overrides_of(arguments)
    hydras = [word for word in arguments if word not in words or is_hydras(word)]
    asked_for, further = asked([word for word in words if not is_hydras(word)], allowed)
    refuse_unknown([*(word for word in words if is_hydras(word)), *further])
    return asked_for, further, hydras


def _policy(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """What follows a failure is told to the sweeper; the other arguments, and its overrides."""
    rest, policy = list(arguments), []
    for flag, key in (("--on-failure", "on_failure"), ("--retries", "retries")):
        rest, values = take_values(rest, flag)
        policy += [f"hydra.sweeper.{key}={value}" for value in values]
    return rest, policy

"""``zoo study``: runs the arms and seeds of a study that are missing, and reports on all of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

from zoo.cli.hydra_flags import add_hydra_flags, build_hydra_command
from zoo.cli.parser import Given, Parser
from zoo.cli.train import launch_hydra
from zoo.config.hydra_overrides import drop_hydra_overrides, is_for_hydra, refuse_unknown_overrides
from zoo.system.terminal import say

if TYPE_CHECKING:
    from zoo.study.cells.overview import Overview


def _problems(given: Given) -> Iterable[str]:
    if given.json and not (given.status or given.dry_run):
        yield "--json: goes with --status or --dry-run"
    if given.watch and not given.status:
        yield "--watch: goes with --status"
    if given.retries is not None and given.retries < 0:
        yield f"--retries: must not be negative: got {given.retries}"


PARSER = Parser(
    "study",
    ["STUDY [KEY=VALUE ...] [OVERRIDE ...]", "KEY=VALUE ... [OVERRIDE ...]"],
    "train the arms and seeds of a study, and write its report",
    description=(
        "Train the arms and seeds of a study that have no result yet, and write its report. Without STUDY, the keys on "
        "the command line define the study. The same command resumes an interrupted study."
    ),
    arguments={
        "STUDY": "a name under experiments/, a folder, or a study.yaml",
        "KEY=VALUE": "a key of the study file, with a value that replaces the one in the file: seeds=3, match=none",
        "OVERRIDE": "an override of all runs: steps=100, threads=2, hydra/launcher=basic",
    },
    examples=[
        "zoo study three_variants --dry-run",
        "zoo study three_variants seeds=5",
        "zoo study model=gpt/tiny data=numbers 'arms={rms: {model/norm: rms}, dyt: {model/norm: dyt}}' seeds=5",
        "zoo study three_variants --status --watch",
    ],
    needs_words=True,
    check=_problems,
)
PARSER.add_switch("--dry-run", help="print the runs and their cost, and train nothing")
PARSER.add_switch("--status", help="print the state of every run, including those that other processes train")
PARSER.add_switch("--watch", help="with --status: refresh the output until all runs are done")
PARSER.add_switch("--json", help="with --status or --dry-run: print JSON")
PARSER.add_value(
    "--on-failure",
    "WHAT",
    choices=("go_on", "stop"),
    help="after a failed run, go_on with the others, or stop. Default: go_on",
)
PARSER.add_value("--retries", "N", kind=int, help="retry a failed run up to N times. Default: 0")
PARSER.add_value(
    "--allow-target",
    "MODULE",
    is_list=True,
    help="let the study file use classes and functions of this module; may be repeated",
)
add_hydra_flags(PARSER, sweeps=False)


def run(given: Given) -> int:
    """Runs the study as a sweep of Hydra; with --status or --dry-run prints it."""
    if given.status and not given.watch and (known := _load_snapshot(given)) is not None:
        _show(known, as_json=given.json)
        return 0
    hydras = [word for word in given.words if is_for_hydra(word)]
    refuse_unknown_overrides(hydras)
    from zoo.study.choose_launcher import choose_launcher
    from zoo.study.plan.command_line import build_study_override, resolve_study
    from zoo.study.run_study import build_forecast_json
    from zoo.study.watch_study import get_overview, watch_study

    study, further = resolve_study(drop_hydra_overrides(given.words), given.allow_target, given.forwarded)
    launcher = choose_launcher([*hydras, *further])
    threads = drop_hydra_overrides(launcher)
    if given.watch:
        watch_study(study, [*threads, *further])
        return 0
    if given.status:
        _show(get_overview(study, [*threads, *further]), as_json=given.json)
        return 0
    if given.json:
        say(json.dumps(build_forecast_json(study, [*threads, *further]), indent=1, ensure_ascii=False))
        return 0
    sweeper = ["hydra/sweeper=zoo_study", build_study_override(study), *_sweeper_options(given)]
    return launch_hydra(build_hydra_command(["-m", *given.forwarded], [*sweeper, *launcher, *hydras, *further]))


def _load_snapshot(given: Given) -> Overview | None:
    """Returns the status of a study from its snapshot, which needs neither torch nor Hydra; None if there is none."""
    from zoo.study.cells.snapshot import load_snapshot
    from zoo.study.cells.study_request import StudyRequest
    from zoo.study.plan.request_words import list_request_words

    words = list_request_words(drop_hydra_overrides(given.words), given.allow_target, given.forwarded)
    request = None if words is None else StudyRequest.read(words)
    return None if request is None else load_snapshot(request)


def _show(overview: Overview, *, as_json: bool) -> None:
    if as_json:
        say(json.dumps(overview.as_json(), indent=1, ensure_ascii=False))
        return
    from zoo.system.tables import Terminal

    overview.print(Terminal())


def _sweeper_options(given: Given) -> list[str]:
    """Returns the flags as options of the sweeper in ``hydra_plugins/zoo_study.py``."""
    options = {"dry_run": str(given.dry_run).lower(), "on_failure": given.on_failure, "retries": given.retries}
    return [f"hydra.sweeper.{key}={value}" for key, value in options.items() if value is not None]

"""Runs the missing cells of a study through a Hydra launcher, and writes the report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from zoo.checks import Refused
from zoo.report import print_folder, print_summary, write_report
from zoo.runs.run_config import RunConfig
from zoo.study.cells.cell_status import CellStatus, get_cell_status
from zoo.study.cells.expand_plan import expand_plan
from zoo.study.cells.expansion import Expansion
from zoo.study.cells.known_cells import list_known_cells
from zoo.study.cells.load_plan import load_plan
from zoo.study.cells.outcomes import Outcome, build_outcome_reader
from zoo.study.cells.overview import format_more, print_question
from zoo.study.cells.snapshot import Recorder
from zoo.study.dashboard import Dashboard, show_dashboard
from zoo.study.gather_study import describe_study, locate_report, read_cell_run
from zoo.study.plan.cell import Cell
from zoo.study.plan.study_plan import StudyPlan
from zoo.study.train_cells import FailurePolicy, Launch, PrintLine, run_cells
from zoo.study.watch_study import record_overview
from zoo.system.tables import Terminal
from zoo.system.units import format_duration
from zoo.training.run import find_result, find_status, hash_data


def run_study(study: str, overrides: Sequence[str], launch: Launch, *, dry_run: bool, policy: FailurePolicy) -> int:
    """Runs a study and writes its report.

    Runs that have a result are not repeated, whichever process trained them.

    Args:
        study: Name, folder, or file of the study; or JSON, see :func:`zoo.study.plan.study_file.parse_plan`.
        overrides: Overrides of all runs, applied last.
        launch: Launches trainings, each given by its overrides. Its return value does not decide whether a run
            succeeded; the folder of the run does.
        dry_run: If True, prints the runs and trains nothing.
        policy: Handling of failed runs.
    Returns:
        Number of runs without a result.
    """
    recorder = Recorder()
    plan = load_plan(study)
    expansion = expand_plan(plan, overrides)
    known, terminal = list_known_cells(plan, expansion), Terminal()
    missing = [cell for cell in known.cells if find_status(cell.checked) != "done"]
    print_question(plan.name, plan.question, terminal)
    if dry_run:
        from zoo.study.forecast.dry_run import print_dry_run  # imports Lightning, as it trains a few steps

        print_dry_run(plan, expansion, known, terminal)
        return len(missing)
    count = len(known.cells)
    terminal.print_line(f"{count} runs, {count - len(missing)} already done{format_more(known.more)}")
    started, folder = time.monotonic(), locate_report(plan, expansion)
    dashboard = Dashboard(policy.parallel_runs)
    with show_dashboard(dashboard, folder / "study.log") as print_line:
        errors = run_due_cells(plan, expansion, launch, policy, dashboard, print_line)
    cells = dashboard.known.cells
    unfinished = [status for status in map(get_cell_status, cells) if status.state != "done"]
    described = describe_study(plan, expansion, dashboard.known, overrides)
    runs = [read_cell_run(cell) for cell in cells]
    page = write_report(described, runs, folder, renumber=True)
    print_summary(described, runs, terminal)
    duration = format_duration(time.monotonic() - started)
    terminal.print_line(f"{len(cells) - len(unfinished)} of {len(cells)} runs done in {duration}")
    for status in unfinished:
        why, path = _explain_missing(status, errors), status.cell.folder.path
        terminal.print_line(f"no result: {status.cell.name}: {why}  {path}", style="red")
    print_folder(page, folder, terminal)
    record_overview(plan, expansion, recorder)
    return len(unfinished)


def build_forecast_json(study: str, overrides: Sequence[str]) -> dict[str, Any]:
    """Returns the content of a dry run as JSON types."""
    from zoo.study.forecast.dry_run import build_dry_run_json

    plan = load_plan(study)
    expansion = expand_plan(plan, overrides)
    return build_dry_run_json(plan, expansion, list_known_cells(plan, expansion))


def run_due_cells(
    plan: StudyPlan,
    expansion: Expansion,
    launch: Launch,
    policy: FailurePolicy,
    dashboard: Dashboard,
    print_line: PrintLine,
) -> dict[str, str]:
    """Runs all known cells, and repeats this until no further cells become known.

    A result counts once this call has verified that the current code and data produced it: existing results are
    verified here, other runs are launched and verify it themselves.

    Args:
        plan: Plan of the study.
        expansion: Arms of the study on its tasks.
        launch: Launches trainings.
        policy: Handling of failed runs.
        dashboard: Receives the known cells.
        print_line: Prints a line.
    Returns:
        Errors of runs as reported by the launcher, by hash.
    """
    read_outcome, has_valid_result = build_outcome_reader(plan), build_result_check()
    verified: set[str] = set()
    errors: dict[str, str] = {}

    def read_verified_outcome(cell: Cell) -> Outcome:
        return read_outcome(cell) if cell.hash in verified else None

    while True:
        dashboard.known = list_known_cells(plan, expansion, read_verified_outcome)
        new = [cell for cell in dashboard.known.cells if cell.hash not in verified]
        if not new:
            return errors
        missing = [cell for cell in new if not has_valid_result(cell)]
        verified |= {cell.hash for cell in new} - {cell.hash for cell in missing}
        errors |= run_cells(missing, launch, policy, before=len(verified), print_line=print_line)
        verified |= {cell.hash for cell in missing}
        if policy.on_failure == "stop" and any(find_status(cell.checked) != "done" for cell in missing):
            return errors


def build_result_check() -> Callable[[Cell], bool]:
    """Returns a function that is true for cells whose result was produced by the current code and data.

    Each data set is hashed once. Where data cannot be prepared, as on the login node of a cluster, no result counts,
    and each run verifies its own.
    """
    hashes: dict[str, str | None] = {}

    def hash_known_data(config: RunConfig) -> str | None:
        key = json.dumps([config.data.as_mapping(), config.cache], sort_keys=True)
        if key not in hashes:
            try:
                hashes[key] = hash_data(config)
            except (Refused, OSError):
                hashes[key] = None
        return hashes[key]

    def has_valid_result(cell: Cell) -> bool:
        if find_status(cell.checked) != "done":
            return False
        data = hash_known_data(cell.checked.config)
        return data is not None and find_result(cell.checked, data) is not None

    return has_valid_result


def _explain_missing(status: CellStatus[Cell], errors: Mapping[str, str]) -> str:
    if status.error:
        return status.error
    if status.state == "running":
        return f"{status.process} is training it"
    return errors.get(status.cell.hash, "it was not started" if status.state == "planned" else "it did not finish")

"""Shows the progress of a study, also while other processes run it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from zoo.study.cells.expand_plan import expand_plan
from zoo.study.cells.expansion import Expansion
from zoo.study.cells.known_cells import list_known_cells
from zoo.study.cells.load_plan import load_plan
from zoo.study.cells.outcomes import build_outcome_reader
from zoo.study.cells.overview import Overview, print_question, summarize_progress
from zoo.study.cells.snapshot import Recorder
from zoo.study.dashboard import Dashboard, build_live_display
from zoo.study.plan.study_plan import StudyPlan
from zoo.system.tables import Terminal


def get_overview(study: str, overrides: Sequence[str]) -> Overview:
    """Returns the status of all runs of a study, and saves the list of its runs for the next call."""
    recorder = Recorder()
    plan = load_plan(study)
    return record_overview(plan, expand_plan(plan, overrides), recorder)


def record_overview(plan: StudyPlan, expansion: Expansion, recorder: Recorder) -> Overview:
    """Returns the status of all runs of a study, and saves the list of its runs.

    Args:
        plan: Plan of the study.
        expansion: Arms of the study on its tasks.
        recorder: Recorder that was created before the plan was loaded.
    """
    known = list_known_cells(plan, expansion, recorder.note(build_outcome_reader(plan)))
    overview = Overview(plan.name, plan.question, known.cells, known.more, expansion.not_applicable)
    recorder.save(plan.request, overview, known.cells)
    return overview


def watch_study(study: str, overrides: Sequence[str]) -> None:
    """Shows the progress of a study until all runs are done: a dashboard in a terminal, lines elsewhere."""
    plan = load_plan(study)
    expansion, terminal = expand_plan(plan, overrides), Terminal()
    print_question(plan.name, plan.question, terminal)
    dashboard, last_done = Dashboard(), -1
    with build_live_display(dashboard, terminal) if terminal.is_interactive else contextlib.nullcontext():
        while True:
            dashboard.known = list_known_cells(plan, expansion)
            statuses = dashboard.get_statuses()
            done = sum(status.state == "done" for status in statuses)
            if done != last_done and not terminal.is_interactive:
                terminal.print_line(summarize_progress(statuses, dashboard.known.more))
            if not dashboard.known.more and done == len(statuses):
                return
            last_done = done
            time.sleep(1)

"""Runs the cells of a study that are missing, through any Hydra launcher, and reports on all of them."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo.checks import Refused
from zoo.report import Run, Study, Task, print_folder, print_summary, read_run, write_report
from zoo.study.cells.expand import Expansion, expand
from zoo.study.cells.load import load_plan
from zoo.study.cells.overview import Overview, later, print_question, summarize
from zoo.study.cells.rounds import Outcome, Rounds, due, outcomes
from zoo.study.cells.snapshot import Recorder
from zoo.study.cells.state import CellStatus, get_cell_status
from zoo.study.dashboard import Board, followed, keeping
from zoo.study.plan.setting import Cell
from zoo.study.plan.study_file import StudyPlan, TaskPlan
from zoo.study.train_cells import Launch, Policy, Tell, run_cells
from zoo.system.tables import Terminal
from zoo.training.run import find_result, find_status, hash_data, run_folder


def sweep(study: str, further: Sequence[str], launch: Launch, *, dry_run: bool, policy: Policy) -> int:
    """Run a study and write its report.

    What is there already is not run again; the state of a cell is that of its folder, whoever made it.

    Args:
        study: name, folder or file; or what a command line asked for.
        further: overrides for all cells.
        launch: runs lists of overrides, each one training; its word on success is not taken.
        dry_run: print the cells and stop.
        policy: what follows a failure.
    Returns:
        how many cells have no result.
    """
    recorder = Recorder()
    plan = load_plan(study)
    expansion = expand(plan, further)
    rounds, terminal = due(plan, expansion), Terminal()
    missing = [cell for cell in rounds.cells if find_status(cell.checked) != "done"]
    print_question(plan.name, plan.question, terminal)
    if dry_run:
        from zoo.study.forecast.dry_run import show as show_plan  # late, as Lightning is: it takes a few steps

        show_plan(plan, expansion, rounds, terminal)
        return len(missing)
    known = len(rounds.cells)
    terminal.print_line(f"{known} runs, {known - len(missing)} there already{later(rounds.more)}")
    begun, board, folder = time.monotonic(), Board(policy.abreast), _report_folder(plan, expansion)
    with followed(board, folder / "study.log") as tell:
        said = run_rounds(plan, expansion, launch, policy, board, tell)
    cells = board.rounds.cells
    left = [each for each in map(get_cell_status, cells) if each.state != "done"]
    described, runs = _study(plan, expansion, board.rounds, further), [_run(cell) for cell in cells]
    page = write_report(described, runs, folder, renumber=True)
    print_summary(described, runs, terminal)
    terminal.print_line(f"{len(cells) - len(left)} of {len(cells)} runs done in {time.monotonic() - begun:.0f} s")
    for each in left:
        told = f"no result: {each.cell.name}: {_why(each, said)}  {run_folder(each.cell.checked).path}"
        terminal.print_line(told, style="red")
    print_folder(page, folder, terminal)
    _look(plan, expansion, recorder)
    return len(left)


def forecast(study: str, further: Sequence[str]) -> dict[str, Any]:
    """What a dry run prints, for machines."""
    from zoo.study.forecast.dry_run import as_json as plan_as_json

    plan = load_plan(study)
    expansion = expand(plan, further)
    return plan_as_json(plan, expansion, due(plan, expansion))


def run_rounds(
    plan: StudyPlan, expansion: Expansion, launch: Launch, policy: Policy, board: Board, tell: Tell
) -> dict[str, str]:
    """Run what is due, then look again, until nothing new is.

    A result counts once it was seen here that today's code and data made it: those that are there already are looked
    up, and the other runs are launched, each of which sees for itself.

    Args:
        plan: of the study.
        expansion: its arms on its tasks.
        launch: runs cells.
        policy: on failures.
        board: is told what is due.
        tell: prints a line.
    Returns:
        what runs died of by the word of the launcher, by hash.
    """
    look, seen, said, is_there = outcomes(plan), set[str](), dict[str, str](), results_there()

    def look_at_seen(cell: Cell) -> Outcome:
        return look(cell) if cell.checked.hash in seen else None

    while True:
        board.rounds = due(plan, expansion, look_at_seen)
        new = [cell for cell in board.rounds.cells if cell.checked.hash not in seen]
        if not new:
            return said
        cells = [cell for cell in new if not is_there(cell)]
        seen |= {cell.checked.hash for cell in new} - {cell.checked.hash for cell in cells}
        said |= run_cells(cells, launch, policy, before=len(seen), tell=tell)
        seen |= {cell.checked.hash for cell in cells}
        if policy.on_failure == "stop" and any(find_status(cell.checked) != "done" for cell in cells):
            return said


def results_there() -> Callable[[Cell], bool]:
    """A function that is true for cells with a result that today's code and data made; data are looked at once.

    Where data cannot be prepared here, as on a cluster's login node, no result counts: each run looks for itself.
    """
    known: dict[str, str | None] = {}

    def data_of(config: Mapping[str, Any]) -> str | None:
        key = json.dumps([config["data"], config["cache"]], sort_keys=True)
        if key not in known:
            try:
                known[key] = hash_data(config)
            except (Refused, OSError):
                known[key] = None
        return known[key]

    def is_there(cell: Cell) -> bool:
        if find_status(cell.checked) != "done":
            return False
        data = data_of(cell.checked.config)
        return data is not None and find_result(cell.checked, data) is not None

    return is_there


def look(study: str, further: Sequence[str]) -> Overview:
    """Returns where a study stands, also while it runs elsewhere, and keeps which runs it has for the next look."""
    recorder = Recorder()
    plan = load_plan(study)
    return _look(plan, expand(plan, further), recorder)


def _look(plan: StudyPlan, expansion: Expansion, recorder: Recorder) -> Overview:
    rounds = due(plan, expansion, recorder.note(outcomes(plan)))
    overview = Overview(plan.name, plan.question, rounds.cells, rounds.more, expansion.not_applicable)
    recorder.keep(plan.request, overview, rounds.cells)
    return overview


def watch(study: str, further: Sequence[str]) -> None:
    """Print where a study stands until all runs are done."""
    plan = load_plan(study)
    expansion, terminal = expand(plan, further), Terminal()
    print_question(plan.name, plan.question, terminal)
    _watch(plan, expansion, terminal)


def _watch(plan: StudyPlan, expansion: Expansion, terminal: Terminal) -> None:
    """Keep the board in a terminal; elsewhere print a line whenever the number of finished runs changes."""
    board, last = Board(), -1
    with keeping(board, terminal) if terminal.is_interactive else contextlib.nullcontext():
        while True:
            board.rounds = due(plan, expansion)
            found = board.found()
            done = sum(each.state == "done" for each in found)
            if done != last and not terminal.is_interactive:
                terminal.print_line(summarize(found, board.rounds.more))
            if not board.rounds.more and done == len(found):
                return
            last = done
            time.sleep(1)


def gather(study: str, further: Sequence[str]) -> tuple[Study, list[Run], Path]:
    """A study, its runs as they stand, and the folder of its report."""
    plan = load_plan(study)
    expansion = expand(plan, ["threads=1", *further])
    rounds = due(plan, expansion)
    if not any(find_status(cell.checked) == "done" for cell in rounds.cells):
        rounds = due(plan, expansion, outcomes(plan, stale=True))  # where all is old, that is what there is to report
    return (
        _study(plan, expansion, rounds, further),
        [_run(cell) for cell in rounds.cells],
        _report_folder(plan, expansion),
    )


def _report_folder(plan: StudyPlan, expansion: Expansion) -> Path:
    return Path(expansion.settings[0].checked.config["runs"]) / "reports" / plan.name


def _study(plan: StudyPlan, expansion: Expansion, rounds: Rounds, further: Sequence[str]) -> Study:
    return Study(
        name=plan.name,
        question=plan.question,
        expected=plan.expected,
        baseline=plan.baseline,
        arms=plan.arms,
        tasks=tuple(_task(task, rounds, expansion) for task in plan.tasks),
        not_applicable=expansion.not_applicable,
        command=shlex.join(["zoo", "study", *plan.words, *further]),
        against=plan.against,
        factors=plan.factors,
        matches=expansion.matches,
        until_decided=plan.until_decided,
        max_seeds=len(plan.seeds) if plan.until_decided else 0,
    )


def _task(task: TaskPlan, rounds: Rounds, expansion: Expansion) -> Task:
    """The task, with what a reader must know of its runs besides its note."""
    also = [
        f"{arm} also changes: {', '.join(what)}." for (arm, of), what in expansion.further.items() if of == task.name
    ]
    note = " ".join([task.note, *rounds.notes[task.name], *also]).strip()
    return Task(task.name, task.comparable, task.metrics, note, task.margin, task.of, task.size)


def _run(cell: Cell) -> Run:
    run = read_run(run_folder(cell.checked).path, cell.arm, cell.task, cell.seed)
    return replace(run, rate=cell.rate, tuning=cell.tuning, stale=find_status(cell.checked) == "stale")


def _why(each: CellStatus[Cell], said: Mapping[str, str]) -> str:
    if each.error:
        return each.error
    if each.state == "running":
        return f"{each.process} trains it"
    return said.get(each.cell.checked.hash, "it was not begun" if each.state == "planned" else "it did not finish")


def local_launcher(arguments: Sequence[str]) -> list[str]:
    """The launcher that a study takes unless it is told another: as many processes as cores, one thread each.

    Not where a GPU is trained on, which one run has at a time.
    """
    import joblib
    import torch

    gpu = torch.cuda.is_available() and not {"trainer=cpu", "trainer.accelerator=cpu"} & set(arguments)
    chosen = any(argument.startswith("hydra/launcher=") for argument in arguments)
    threads = [] if any(argument.startswith("threads=") for argument in arguments) else ["threads=1"]
    if chosen or gpu or sys.platform == "win32":
        return threads
    return [*threads, "hydra/launcher=joblib", f"hydra.launcher.n_jobs={joblib.cpu_count()}"]

"""The cells that are kept for ``--status``: used as long as nothing has changed, and never when something has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.command import zoo
from tests.study.test_study import STUDY
from zoo.study import watch_study
from zoo.study.cells import snapshot, study_request
from zoo.study.cells.expand_plan import expand_plan
from zoo.study.cells.load_plan import read_study
from zoo.training.run import compute_fingerprints, run_folder

OLD = 1_000_000_000
"""Seconds since the epoch, long before any command."""
QUESTION = "s: Does it matter?\n"


def write(path: Path, **over: object) -> Path:
    """Write a study as if long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({**STUDY, **over}, sort_keys=False))
    os.utime(path, (OLD, OLD))
    return path


def finish(path: Path, number: int = 9) -> list[Path]:
    """Give the first runs of a study results of today's code, without training them."""
    plan = read_study(path)
    folders = []
    for cell in expand_plan(plan, ["threads=1"]).build_cells(plan.seeds)[:number]:
        folder = run_folder(cell.checked).path
        folder.mkdir(parents=True, exist_ok=True)
        result = {"metrics": {"loss": 1.0}, "fingerprints": compute_fingerprints(cell.checked.config)}
        (folder / "result.json").write_text(json.dumps(result))
        folders.append(folder)
    return folders


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of two runs, one of which is done, whose cells were kept."""
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "s" / "study.yaml")
    finish(path, 1)
    Path("runs/reports").mkdir()
    assert "1 of 2 runs done" in zoo("study", "s", "--status").out
    assert len(list(Path("runs/reports/.cells").iterdir())) == 1
    return path


@pytest.fixture
def composed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often the plan of a study was composed since this was asked last."""
    calls: list[str] = []
    get_overview = watch_study.get_overview
    monkeypatch.setattr(watch_study, "get_overview", lambda *given: calls.append("") or get_overview(*given))

    def count() -> int:
        number = len(calls)
        calls.clear()
        return number

    return count


def test_a_status_of_an_unchanged_study_is_looked_up_and_is_that_of_today(
    study: Path, composed: Callable[[], int]
) -> None:
    again = zoo("study", "s", "--status", "--json")
    assert composed() == 0
    (kept,) = Path("runs/reports/.cells").iterdir()
    kept.unlink()
    assert zoo("study", "s", "--status", "--json") == again
    assert composed() == 1
    states = {cell["arm"]: cell["state"] for cell in json.loads(again.out)["cells"]}
    assert states == {"two": "done", "one": "planned"}
    two, one = finish(study)
    assert "2 of 2 runs done" in zoo("study", "s", "--status").out
    (one / "result.json").write_text('{"metrics": {}}')  # of other code
    (two / "result.json").write_text("{")
    out = zoo("study", "s", "--status").out
    assert composed() == 0
    assert f"failed: numbers two seed 1: {two}/result.json: must be JSON" in " ".join(out.split())
    assert "0 of 2 runs done" in out


def test_looking_it_up_loads_no_torch_and_no_hydra(study: Path) -> None:
    program = (
        "import sys; sys.argv = ['zoo', 'study', 's', '--status']\n"
        "from zoo.cli.main import main\n"
        "try: main()\n"
        "finally: print({'torch', 'hydra', 'lightning', 'polars'} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "1 of 2 runs done" in out
    assert out.endswith("set()\n")


def change_file(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(study, seeds=[1, 2])


def change_variable(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(study.parent))


def change_code(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_request, "compute_installation_digest", lambda: "another")


def change_machine(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_request, "identify_machine", lambda: "another")


def change_plugin(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "_find_packages", lambda modules: [["plug-in", "2", None]])


def damage(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (kept,) = Path("runs/reports/.cells").iterdir()
    kept.write_text(kept.read_text()[:-9])


@pytest.mark.parametrize("change", [change_file, change_variable, change_code, change_machine, change_plugin, damage])
def test_a_change_of_what_it_depends_on_is_seen(
    change: Callable[[Path, pytest.MonkeyPatch], None],
    study: Path,
    composed: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change(study, monkeypatch)
    assert f"of {4 if change is change_file else 2} runs done" in zoo("study", "s", "--status").out
    assert composed() == 1


def test_other_words_and_flags_of_hydra_are_other_requests(study: Path, composed: Callable[[], int]) -> None:
    assert "0 of 2 runs done" in zoo("study", "s", "--status", "steps=3").out
    assert zoo("study", "s", "--status", "-cd", str(study.parent)).code == 0
    assert composed() == 2
    assert "1 of 2 runs done" in zoo("study", "s", "--status", "hydra/launcher=basic").out
    assert composed() == 0


def test_a_file_that_a_config_names_is_one_of_the_things_it_depends_on(
    study: Path, composed: Callable[[], int]
) -> None:
    text = study.parent / "text.txt"
    text.write_text("Some words.\n\n" * 20)
    os.utime(text, (OLD, OLD))
    data = {"data": "text", "data.path": str(text), "data.length": 32}
    write(study, tasks={"text": {"metrics": ["loss"], "overrides": data}})
    zoo("study", "s", "--status")
    zoo("study", "s", "--status")
    assert composed() == 1
    text.write_text("Other words.\n\n" * 30)
    zoo("study", "s", "--status")
    zoo("study", "s", "--status")  # what has just changed is not kept, for it might be changing still
    assert composed() == 2


def test_a_time_of_day_or_a_value_that_cannot_be_known_is_not_kept(study: Path, composed: Callable[[], int]) -> None:
    write(study, overrides={**STUDY["overrides"], "label": "${now:%S}"})
    zoo("study", "s", "--status")
    zoo("study", "s", "--status")
    assert composed() == 2


def test_learning_rates_are_chosen_anew_when_a_result_that_they_depend_on_changes(
    study: Path, composed: Callable[[], int]
) -> None:
    write(study, learning_rates={"values": [0.1, 0.2], "seeds": [7]})
    first = json.loads(zoo("study", "s", "--status", "--json").out)
    assert len(first["cells"]) == 4  # those that choose the rates
    for cell in first["cells"]:
        folder = Path(cell["folder"])
        folder.mkdir(parents=True)
        (folder / "failed.json").write_text('{"error": "out of memory"}')
    zoo("study", "s", "--status", "--json")
    assert composed() == 2
    assert len(json.loads(zoo("study", "s", "--status", "--json").out)["cells"]) == 6
    assert composed() == 0


def test_nothing_is_made_where_nothing_was_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "s" / "study.yaml")
    assert "0 of 2 runs done" in zoo("study", "s", "--status").out
    assert not Path("runs").exists()

"""The study beside this program, against its runs one after another, each a ``zoo train`` of its own with all cores."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from experiments.speed.clock import Settings, compute_ratios
from experiments.speed.outcome import Row

STUDY = Path(__file__).parents[1] / "study.yaml"
ZOO = Path(sys.executable).with_name("zoo")


def measure(settings: Settings) -> Iterator[Row]:
    """Yields a row for each way, in seconds by the clock; twice in turn with ten rounds or more, else once."""
    study = yaml.safe_load(STUDY.read_text(encoding="utf8"))
    study["seeds"] = study["seeds"][:1] if settings.is_quick else study["seeds"]
    runs = list(list_runs(study))
    with tempfile.TemporaryDirectory(prefix="zoo-speed-") as folder:
        taken = _time_in_turn(study, runs, Path(folder), max(1, settings.rounds // 20))
    wall = {way: [each["wall"] for each in times] for way, times in taken.items()}
    for way, times in taken.items():
        ratios = {"of one after another": compute_ratios(wall["study"], wall["one after another"])}
        values = {name: sum(each[name] for each in times) / len(times) for name in ("processor seconds", "of others")}
        yield Row(f"{len(runs)} runs", way, wall[way], ratios if way == "study" else {}, values)


def list_runs(study: dict[str, Any]) -> Iterator[list[str]]:
    """Yields the overrides of each run, as ``zoo train`` takes them."""
    for arm in study["arms"].values():
        for seed in study["seeds"]:
            yield [f"{key}={value}" for key, value in {**study["overrides"], **arm, "seed": seed}.items()]


def _time_in_turn(
    study: dict[str, Any], runs: list[list[str]], folder: Path, rounds: int
) -> dict[str, list[dict[str, float]]]:
    """Times both ways in turn, each in an empty folder; texts are tokenized before."""
    path = folder / "speed" / "study.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf8")
    environment = {**os.environ, "ZOO_CACHE": str(folder / "cache")}
    call_zoo(["train", *runs[0], "steps=1", f"runs={folder / 'before'}"], environment)

    def run_study(place: Path) -> None:
        call_zoo(["study", str(path), f"runs={place}"], environment)

    def run_one_by_one(place: Path) -> None:
        for overrides in runs:
            call_zoo(["train", *overrides, f"runs={place}"], environment)

    ways: dict[str, Callable[[Path], None]] = {"study": run_study, "one after another": run_one_by_one}
    taken: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    for number in range(rounds):
        for way, run in ways.items():
            place = folder / f"{way} {number}".replace(" ", "-")
            taken[way].append(_time(run, place))
            if (made := len(list(place.glob("*/result.json")))) != len(runs):
                sys.exit(f"{way}: {made} of {len(runs)} runs have a result")
    return taken


def call_zoo(arguments: list[str], environment: dict[str, str] | None = None) -> None:
    """Runs ``zoo``, which must end well."""
    done = subprocess.run([str(ZOO), *arguments], env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"zoo {' '.join(arguments)}\n{done.stderr}")


def _time(run: Callable[[Path], None], place: Path) -> dict[str, float]:
    """Measures seconds by the clock, of processors, and of processors for the rest of the machine meanwhile."""
    busy, own, begun = _read_machine_seconds(), _read_child_seconds(), time.perf_counter()
    run(place)
    wall, used = time.perf_counter() - begun, _read_child_seconds() - own
    return {"wall": wall, "processor seconds": used, "of others": _read_machine_seconds() - busy - used}


def _read_child_seconds() -> float:
    """Reads the seconds of processors that ended children, and theirs, took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read_machine_seconds() -> float:
    """Reads the seconds that the processors of this machine were busy since it was started."""
    counted = Path("/proc/stat").read_text(encoding="utf8").splitlines()[0].split()[1:]
    user, nice, system, _idle, _wait, interrupts, soft_interrupts, *_ = map(int, counted)
    return (user + nice + system + interrupts + soft_interrupts) / os.sysconf("SC_CLK_TCK")

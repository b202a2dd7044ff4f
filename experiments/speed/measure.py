"""Measures how long the study beside this file takes, and its runs one after another, in turn.

Writes results.json and the table of README.md; with --seeds only some of the runs, and nothing is written.
Ends with 1 if a study took more than 0.7 of the time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ZOO = Path(sys.executable).with_name("zoo")
MOST = 0.7
MARKS = ("<!-- results -->\n", "<!-- end -->\n")


def main() -> None:
    """Measure each way as often as asked, in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2, help="of both ways (2)")
    parser.add_argument("--seeds", type=int, help="only so many; for a try")
    given = parser.parse_args()
    study = yaml.safe_load((HERE / "study.yaml").read_text(encoding="utf8"))
    study["seeds"] = study["seeds"][: given.seeds]
    with tempfile.TemporaryDirectory(prefix="zoo-speed-") as folder:
        measured = list(measure(study, Path(folder), given.repeats))
    results = {**about(), "runs": len(list(cells(study))), "measured": measured}
    table = shown(results)
    print(table)
    if given.seeds is None:
        (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf8")
        write_table(HERE / "README.md", table)
    sys.exit(max(ratios(measured)) > MOST)


def cells(study: dict[str, Any]) -> Iterator[list[str]]:
    """The overrides of each run, as ``zoo train`` takes them."""
    for arm in study["arms"].values():
        for seed in study["seeds"]:
            yield [f"{key}={value}" for key, value in {**study["overrides"], **arm, "seed": seed}.items()]


def measure(study: dict[str, Any], folder: Path, repeats: int) -> Iterator[dict[str, Any]]:
    """Both ways in turn, each in an empty folder; texts are tokenised before."""
    path = folder / "speed" / "study.yaml"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump(study, sort_keys=False), encoding="utf8")
    one_by_one = list(cells(study))
    environment = {**os.environ, "ZOO_CACHE": str(folder / "cache")}
    run([*one_by_one[0], "steps=1"], folder / "before", environment)

    def as_study(runs: Path) -> None:
        call(["study", str(path), f"runs={runs}"], environment)

    def one_after_another(runs: Path) -> None:
        for overrides in one_by_one:
            run(overrides, runs, environment)

    for repeat in range(1, repeats + 1):
        for name, way in (("study", as_study), ("one after another", one_after_another)):
            runs = folder / f"{name} {repeat}".replace(" ", "-")
            yield {"way": name, "repeat": repeat, **timed(way, runs)}
            made = len(list(runs.glob("*/result.json")))
            if made != len(one_by_one):
                sys.exit(f"{name}: {made} of {len(one_by_one)} runs have a result")


def run(overrides: list[str], runs: Path, environment: dict[str, str]) -> None:
    """Train, as a command of its own."""
    call(["train", *overrides, f"runs={runs}"], environment)


def call(arguments: list[str], environment: dict[str, str]) -> None:
    """Run ``zoo``, which must end well."""
    done = subprocess.run([str(ZOO), *arguments], env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"zoo {' '.join(arguments)}\n{done.stderr}")


def timed(way: Callable[[Path], None], runs: Path) -> dict[str, float]:
    """Seconds by the clock and of processors; ``others`` is what processors did for the rest of the machine."""
    load, busy, own, begun = os.getloadavg()[0], machine(), children(), time.perf_counter()
    way(runs)
    wall, cpu = time.perf_counter() - begun, children() - own
    return {"wall": round(wall, 1), "cpu": round(cpu, 1), "others": round(machine() - busy - cpu, 1), "load": load}


def children() -> float:
    """Seconds of processors that ended children, and theirs, took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def machine() -> float:
    """Seconds that the processors of this machine were busy since it was started."""
    counted = Path("/proc/stat").read_text(encoding="utf8").splitlines()[0].split()[1:]
    user, nice, system, _idle, _wait, interrupts, soft_interrupts, *_ = map(int, counted)
    ticks = user + nice + system + interrupts + soft_interrupts
    return ticks / os.sysconf("SC_CLK_TCK")


def ratios(measured: list[dict[str, Any]]) -> list[float]:
    """Of each pair: the wall time of the study by that of its runs one after another."""
    return [study["wall"] / single["wall"] for study, single in zip(measured[::2], measured[1::2], strict=True)]


def about() -> dict[str, Any]:
    """Where and when."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf8").splitlines()
    processor = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    names = ("torch", "lightning", "hydra-core", "joblib")
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "hardware": f"{os.cpu_count()} cores, {processor or platform.machine()}",
        "versions": {"python": platform.python_version(), **{name: version(name) for name in names}},
    }


def shown(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    lines = [
        f"{results['runs']} runs on {results['hardware']}; {versions}; {results['date']}.",
        "",
        "| | wall, s | CPU, s | of other work meanwhile, CPU s | load before | wall, study by one after another |",
        "|---|---|---|---|---|---|",
    ]
    for number, each in enumerate(results["measured"]):
        ratio = f"{ratios(results['measured'])[number // 2]:.2f}" if number % 2 else ""
        numbers = f"{each['wall']:.0f} | {each['cpu']:.0f} | {each['others']:.0f} | {each['load']:.1f}"
        lines.append(f"| {each['way']}, {each['repeat']} | {numbers} | {ratio} |")
    return "\n".join(lines) + "\n"


def write_table(page: Path, table: str) -> None:
    """Between the two marks of the page."""
    before, rest = page.read_text(encoding="utf8").split(MARKS[0])
    page.write_text(f"{before}{MARKS[0]}\n{table}\n{MARKS[1]}{rest.split(MARKS[1])[1]}", encoding="utf8")


if __name__ == "__main__":
    main()

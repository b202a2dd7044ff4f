"""The command: which measures to take and how often, and where results and report go."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from experiments.speed.clock import Settings
from experiments.speed.machine import collect_versions, describe_machine, read_load
from experiments.speed.outcome import Row, read_row
from experiments.speed.report import write_report
from experiments.speed.targets import judge

HERE = Path(__file__).parent
MEASURES = (
    "step",
    "documents",
    "vocabulary",
    "length",
    "precision",
    "batches",
    "experts",
    "decode",
    "mixers",
    "lightning",
    "start_up",
    "dry_run",
    "study",
)
QUICK_ROUNDS = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Takes the measures and writes ``results.json`` and the report."""
    given = _parse(arguments)
    settings = Settings(given.rounds or (QUICK_ROUNDS if given.quick else Settings.rounds), given.threads, given.quick)
    torch.set_num_threads(settings.threads)
    out = Path(given.out)
    results = _read_results(out / "results.json")
    for name in given.measures or MEASURES:
        print(f"{name} …", file=sys.stderr, flush=True)
        results["measures"][name] = take_measure(name, settings)
        _write(out, results)
    missed = [verdict for verdict in results["targets"] if verdict["met"] is False]
    print(f"{len(missed)} of {len(results['targets'])} targets missed; see {out / 'README.md'}")
    if given.check and missed:
        sys.exit(1)


def take_measure(name: str, settings: Settings) -> dict[str, Any]:
    """Takes a measure and returns its rows with date, load and settings, as JSON types."""
    module, load, begun = (
        importlib.import_module(f"experiments.speed.measures.{name}"),
        read_load(),
        time.perf_counter(),
    )
    rows = []
    for row in module.measure(settings):
        print(f"  {row.case}: {row.side}: {_summarize(row)}", file=sys.stderr, flush=True)
        rows.append(row.as_json())
    return {
        "about": str(module.__doc__).strip(),
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "load": [load, read_load()],
        "took": round(time.perf_counter() - begun, 1),
        "settings": asdict(settings),
        "rows": rows,
    }


def _summarize(row: Row) -> str:
    if row.status != "measured":
        return f"not measured: {row.note}"
    median = row.get_number("seconds")
    numbers = {name: ratio[1] for name, ratio in row.ratios.items()} | dict(row.values)
    time_text = [] if median is None else [f"{1e3 * median:.3g} ms"]
    return ", ".join(time_text + [f"{name} {number:.4g}" for name, number in numbers.items()])


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="measure.py", description="Measures the speed of zoo and of its peers.")
    parser.add_argument("measures", nargs="*", metavar="measure", help=f"{', '.join(MEASURES)}; none is all")
    parser.add_argument("--quick", action="store_true", help="smallest cases, few rounds: two minutes for all")
    parser.add_argument("--rounds", type=int, help=f"samples of each side ({Settings.rounds}; quick {QUICK_ROUNDS})")
    parser.add_argument(
        "--threads", type=int, default=1, help="of PyTorch; one is timed by CPU time, more by the clock (1)"
    )
    parser.add_argument("--out", default=str(HERE), help="folder of results.json, README.md and pictures (beside this)")
    parser.add_argument("--check", action="store_true", help="end with 1 if a target is missed")
    given = parser.parse_args(arguments)
    unknown = [name for name in given.measures if name not in MEASURES]
    if unknown:
        parser.error(f"unknown measure {unknown[0]!r}: choose from {', '.join(MEASURES)}")
    for name in ("rounds", "threads"):
        if getattr(given, name) is not None and getattr(given, name) < 1:
            parser.error(f"--{name} must be positive: got {getattr(given, name)}")
    return given


def _read_results(path: Path) -> dict[str, Any]:
    """Reads earlier results of this machine and these versions, whose other measures are kept."""
    machine, versions = describe_machine(), collect_versions()
    about: dict[str, Any] = {"machine": machine, "versions": versions, "date": "", "measures": {}, "targets": []}
    earlier = json.loads(path.read_text(encoding="utf8")) if path.exists() else about
    if (earlier.get("machine"), earlier.get("versions")) == (machine, versions):
        return {**about, "measures": earlier["measures"]}
    print(f"{path}: results of another machine or other versions are not kept", file=sys.stderr)
    return about


def _write(out: Path, results: dict[str, Any]) -> None:
    """Judges the targets, and writes the results so far in the order of the measures."""
    results["measures"] = {name: results["measures"][name] for name in MEASURES if name in results["measures"]}
    rows = {name: [read_row(row) for row in taken["rows"]] for name, taken in results["measures"].items()}
    results["date"] = datetime.now(UTC).date().isoformat()
    results["targets"] = [verdict.as_json() for verdict in judge(rows, results["machine"]["instructions"])]
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf8")
    write_report(out, results, rows)

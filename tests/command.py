"""The command ``zoo`` called in this process, and configs small enough to train in a second."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from zoo.config.checking import CheckedConfig, check_run
from zoo.config.compose import compose_run

SMALL = ["model.dim=32", "model.layers=1", "model.heads=2", "model.hidden=32", "batch=8"]
ON_CPU = ["trainer=cpu", "precision=32-true", "threads=1"]
NUMBERS = ["data=numbers", "data.limit=200", "data.length=64"]
TINY = ["model=gpt/tiny", "model.position.length=64", *SMALL, *ON_CPU, *NUMBERS, "steps=3", "evaluate=2"]


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def zoo(*arguments: str) -> Outcome:
    """Exit code and output of one command; what it changes of this process is put back."""
    from zoo.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with _kept(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        sys.argv = ["zoo", *arguments]
        try:
            main()
        except SystemExit as end:
            return Outcome(int(end.code or 0), out.getvalue(), err.getvalue())
    raise AssertionError("main() must leave by sys.exit")


@contextlib.contextmanager
def _kept() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    with mock.patch.dict(os.environ), mock.patch.object(sys, "argv", sys.argv):
        try:
            yield
        finally:
            root.handlers[:] = handlers
            root.setLevel(level)


def checked(*overrides: str) -> CheckedConfig:
    """The checked config of a training; problems are refused."""
    found = check_run(compose_run(overrides))
    found.require()
    return found


def refusal(overrides: Sequence[str]) -> list[str]:
    """The lines with which a training is refused before anything is made."""
    from zoo.checks import Refused

    try:
        check_run(compose_run(overrides)).require()
    except Refused as error:
        return str(error).splitlines()
    return []


def without_times(metrics_csv: str) -> list[dict[str, Any]]:
    """The lines of a metrics.csv, apart from what a clock said."""
    import csv

    timed = ("seconds", "train/tokens_per_second")
    return [
        {k: v for k, v in line.items() if k not in timed and v} for line in csv.DictReader(metrics_csv.splitlines())
    ]


def digest(file: Path) -> str:
    """Of its bytes: where two differ, one line says so."""
    return hashlib.sha256(file.read_bytes()).hexdigest()

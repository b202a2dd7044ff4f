"""Trainings on two processes: as on one, in every layout; and checkpoints that move between layouts.

All trainings on two processes share one start of the processes, which costs more than they do.
"""

from __future__ import annotations

import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.command import ON_CPU, SMALL, checked
from tests.training.device_worker import take_over, train_until
from zoo.runs.run_folder import RunFolder
from zoo.training.run import run_folder

FAMILIES = {
    "decoder": ["model=llama/tiny", "data=text"],
    "encoder": ["model=gpt/tiny", "model.variant=encoder", "model.position.length=24", "data=text"],
    "encoder_decoder": ["model=transformer/tiny", "model.dropout=0", "data=reverse", "data.limit=200"],
    "moe": [
        "model=llama/tiny",
        "model/ffn=moe",
        "model.ffn.router={aux_loss: 0.5, z_loss: 0.1, correction: 0.01}",
        "data=text",
    ],
}
LAYOUTS = {"ddp": ["trainer=ddp"], "fsdp": ["trainer=fsdp"]}
TWO = ["trainer.accelerator=cpu", "trainer.devices=2"]
TOLERANCE = 1e-5
"""Relative: sums over rows have another order with two processes, and float32 has seven digits."""


class Runs:
    """Overrides of the runs of these tests, which lie in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "text.txt").write_text("the quick brown fox jumps over the lazy dog, and so on. " * 40)

    def choose(self, family: str, layout: str, *more: str) -> list[str]:
        """Overrides of a run; ``one`` is the layout of one process.

        eps is large, since Adam divides rounding errors by it. No dropout: each process draws its own.
        """
        # fmt: off
        same = [*SMALL, *ON_CPU, "data.length=24", "steps=4", "evaluate=2", "batch=5", "accumulate=2", "checkpoint=2",
                "optimizer.lr=0.01", "optimizer.eps=0.001",
                "trainer.log_every_n_steps=1", f"runs={self.folder / 'runs'}", *more]
        # fmt: on
        text = [f"data.path={self.folder / 'text.txt'}", "data/tokenizer=bytes"]
        chosen = FAMILIES[family] + (text if "data=text" in FAMILIES[family] else [])
        return [*chosen, *same, *([] if layout == "one" else [*LAYOUTS[layout], *TWO])]


def read_losses(overrides: list[str]) -> list[float]:
    """Losses of the steps, and then of the evaluations."""
    with (run_folder(checked(*overrides)).path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [
        float(row[name])
        for name in ("train/loss", "train/gradient_norm", "validation/loss")
        for row in rows
        if row[name]
    ]


def read_weights(overrides: list[str]) -> dict[str, torch.Tensor]:
    return load_file(run_folder(checked(*overrides)).path / "model.safetensors")


def find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def train_on_two_processes(jobs: list[dict[str, Any]], folder: Path) -> None:
    (folder / "jobs.json").write_text(json.dumps(jobs))
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(find_port()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.training.device_worker", str(folder / "jobs.json")]
    workers = [
        subprocess.Popen(
            command, env={**os.environ, **shared, "LOCAL_RANK": str(rank)}, stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    errors = [worker.communicate(timeout=300)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(errors)


MOVES = [("fsdp", "ddp"), ("ddp", "fsdp"), ("one", "fsdp"), ("fsdp", "one")]


def choose_moved(runs: Runs, first: str, second: str) -> list[str]:
    """Overrides of a run in layout ``second`` that begins with a checkpoint of ``first``, in a folder of its own."""
    return runs.choose("decoder", second, f"examples={2 + ['one', *LAYOUTS].index(first)}")


def train_all(runs: Runs) -> None:
    """Trains each family in each layout, and decoders that are stopped after two of four steps and go on in another."""
    for family in FAMILIES:
        train_until(runs.choose(family, "one"), None)
    half = {layout: runs.choose("decoder", layout, "examples=1") for layout in ("one", *LAYOUTS)}
    train_until(half["one"], 2)
    jobs: list[dict[str, Any]] = [{"overrides": runs.choose(family, each)} for family in FAMILIES for each in LAYOUTS]
    jobs += [{"overrides": half[layout], "stop": 2} for layout in LAYOUTS]
    onto_two = [move for move in MOVES if move[1] != "one"]
    jobs += [{"overrides": choose_moved(runs, *move), "source": half[move[0]]} for move in onto_two]
    train_on_two_processes(jobs, runs.folder)
    take_over(half["fsdp"], choose_moved(runs, "fsdp", "one"))
    train_until(choose_moved(runs, "fsdp", "one"), None)


def test_two_processes_train_as_one_and_go_on_in_other_layouts(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    train_all(runs)
    pairs = {(family, layout): runs.choose(family, layout) for family in FAMILIES for layout in LAYOUTS}
    pairs |= {("decoder", *move): choose_moved(runs, *move) for move in MOVES}
    for case, two in pairs.items():
        one = runs.choose(case[0], "one")
        assert len(read_losses(one)) == 10
        assert read_losses(two) == pytest.approx(read_losses(one), rel=TOLERANCE), case
        torch.testing.assert_close(read_weights(two), read_weights(one), rtol=1e-4, atol=1e-6, msg=str(case))
    check_shares(runs)
    # The control: of other rows, such as the half of a batch that one of two processes sees, the losses differ.
    half = runs.choose("decoder", "one", "batch=3")
    train_until(half, None)
    assert read_losses(half) != pytest.approx(read_losses(runs.choose("decoder", "one")), rel=100 * TOLERANCE)


def check_shares(runs: Runs) -> None:
    """A sharded checkpoint is a folder, of which each process wrote about a half."""
    folder = RunFolder(run_folder(checked(*runs.choose("decoder", "fsdp", "examples=1"))).path)
    (path,) = folder.list_checkpoints()
    folder.require_checkpoint(path)
    shares = [path / f"shard-0000{rank}.safetensors" for rank in (0, 1)]
    assert sorted(path.iterdir()) == [*shares, path / "state.pt"]
    first, second = (sum(tensor.numel() for tensor in load_file(share).values()) for share in shares)
    assert 0.9 < first / second < 1.1

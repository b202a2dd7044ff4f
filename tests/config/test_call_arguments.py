"""Values that a config hands to optimizers, schedules and the trainer, against their signatures."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import lightning
import pytest
import torch

from zoo.config.call_arguments import find_argument_problems
from zoo.config.checking import check_run
from zoo.config.compose import compose_run
from zoo.training.schedule import cosine

INF, NAN = float("inf"), float("nan")
OPTIMIZER = ("optimizer", torch.optim.AdamW)
SCHEDULE = ("schedule", cosine)
TRAINER = ("trainer", lightning.Trainer)


def own(params: Any, lr, clip: float = INF, warm=3):  # type: ignore[no-untyped-def]
    """An optimizer that annotates little, and whose clip is infinite unless it is set."""


OWN = ("optimizer", own)


def _name(value: Any) -> str:
    """The section of a target, whose address differs from process to process, or the value itself."""
    return value[0] if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize(
    ("target", "name", "value", "problem"),
    [
        (OPTIMIZER, "lr", INF, "optimizer.lr: must be finite: got inf"),
        (OPTIMIZER, "lr", NAN, "optimizer.lr: must be finite: got nan"),
        (OPTIMIZER, "lr", "1e-4x", "optimizer.lr: must be a float: got '1e-4x'"),
        (OPTIMIZER, "lr", None, "optimizer.lr: must be a float: got None"),
        (OPTIMIZER, "lr", True, "optimizer.lr: must be a float: got True"),
        (OPTIMIZER, "lr", -1, "optimizer.lr: must not be negative: got -1"),
        (OPTIMIZER, "weight_decay", INF, "optimizer.weight_decay: must be finite: got inf"),
        (OPTIMIZER, "betas", None, "optimizer.betas: must be a list of 2 values: got None"),
        (OPTIMIZER, "betas", [0.9], "optimizer.betas: must be a list of 2 values: got [0.9]"),
        (OPTIMIZER, "betas", [0.9, "b"], "optimizer.betas[1]: must be a float: got 'b'"),
        (OPTIMIZER, "betas", [0.9, 1], "optimizer.betas: must be at least 0 and less than 1: got [0.9, 1]"),
        (OPTIMIZER, "fused", "maybe", "optimizer.fused: must be true or false: got 'maybe'"),
        (SCHEDULE, "floor", None, "schedule.floor: must be a float: got None"),
        (SCHEDULE, "warmup", NAN, "schedule.warmup: must be finite: got nan"),
        (SCHEDULE, "steps", 1.5, "schedule.steps: must be an int: got 1.5"),
        (TRAINER, "devices", NAN, "trainer.devices: must be a list or a string or an int: got nan"),
        (TRAINER, "num_nodes", None, "trainer.num_nodes: must be an int: got None"),
        (TRAINER, "deterministic", 3, "trainer.deterministic: must be true or false or 'warn' or null: got 3"),
        (OWN, "lr", INF, "optimizer.lr: must be finite: got inf"),
        (OWN, "warm", [1, NAN], "optimizer.warm: must be finite: got nan"),
    ],
    ids=_name,
)
def test_wrong_values_are_named(target: tuple[str, Callable[..., Any]], name: str, value: Any, problem: str) -> None:
    path, called = target
    assert find_argument_problems(path, {name: value}, inspect.signature(called, eval_str=True)) == [problem]


def test_a_run_is_refused_for_all_of_them_at_once() -> None:
    wrong = ["optimizer.lr=inf", "optimizer.weight_decay=null", "schedule.floor=x", "trainer.num_nodes=1.5"]
    assert check_run(compose_run(["model=gpt/tiny", "data=numbers", *wrong])).problems == (
        "optimizer.lr: must be finite: got inf",
        "optimizer.weight_decay: must be a float: got None",
        "schedule.floor: must be a float: got 'x'",
        "trainer.num_nodes: must be an int: got 1.5",
    )
    assert "steps must be positive" in check_run(compose_run(["model=gpt/tiny", "schedule.steps=-3"])).problems[0]


@pytest.mark.parametrize(
    ("target", "given"),
    [
        (OPTIMIZER, {"lr": 1, "betas": [0.9, 0.95], "weight_decay": 0, "fused": None, "foreach": True}),
        (("optimizer", torch.optim.Adafactor), {"lr": 0.1, "eps": [None, 1e-3], "d": 1}),
        (SCHEDULE, {"steps": 10.0, "warmup": 0, "floor": 0.1}),
        (TRAINER, {"devices": "auto", "limit_val_batches": None, "max_time": {"hours": 3}, "deterministic": "warn"}),
        (TRAINER, {"devices": [0, 1], "strategy": "ddp", "num_nodes": 2}),
        (OWN, {"lr": "tied", "clip": INF, "unknown": NAN}),
    ],
    ids=_name,
)
def test_what_the_signature_allows_is_taken(target: tuple[str, Callable[..., Any]], given: dict[str, Any]) -> None:
    path, called = target
    assert find_argument_problems(path, given, inspect.signature(called, eval_str=True)) == []

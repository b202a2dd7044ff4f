"""A training that is asked to end keeps the step that it is at, at any step, and goes on from there to the bit."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from tests.interruption import Stops, same
from tests.training.test_resume import RANDOM
from zoo.config.checking import CheckedConfig
from zoo.runs.run_result import RunResult
from zoo.system.signals import HANDLED_SIGNALS, Interrupted, Interruption
from zoo.training import checkpoints
from zoo.training.checkpoints import Checkpoints
from zoo.training.run import run_folder, train

Trained = Callable[[CheckedConfig], tuple[Path, RunResult]]
# No checkpoint is due by its number before the last step.
RARELY = [*RANDOM, "checkpoint=1000"]


class Signals(Stops):
    """Sends this process signals, each in a hook and at a step; the training is told by none of its own means."""

    sent: ClassVar[list[tuple[int, str, int]]] = []

    def _stop(self, hook: str, step: int) -> None:
        while Signals.sent and (hook, step) == Signals.sent[0][1:]:
            signal.raise_signal(Signals.sent.pop(0)[0])


@pytest.fixture
def signals(stops: type[Stops], monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Signals]]:
    """None is ignored, even where the tests themselves run in the background or under nohup."""
    monkeypatch.setattr(Stops, "_stop", Signals._stop)
    before = {number: signal.getsignal(number) for number in HANDLED_SIGNALS}
    for number in HANDLED_SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield Signals
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("undisturbed"))


def test_every_signal_keeps_the_step_and_the_run_goes_on_to_the_bit(
    documents: Callable[..., CheckedConfig], signals: type[Signals], trained: Trained, shared: str
) -> None:
    """In a step, in two evaluations (the second due at the step that is kept), and after the last step."""
    undisturbed = trained(documents(*RARELY, runs=shared))
    config, handlers = documents(*RARELY), [signal.getsignal(number) for number in range(1, 20)]
    for number, hook, step, kept in (
        (signal.SIGTERM, "on_train_batch_end", 1, 1),
        (signal.SIGINT, "on_validation_start", 4, 5),
        (signal.SIGHUP, "on_train_batch_end", 8, 8),
        (signal.SIGUSR1, "on_train_batch_end", 11, 11),
        (signal.SIGUSR2, "on_fit_end", 13, 13),
    ):
        signals.sent = [(number, hook, step)]
        with pytest.raises(Interrupted) as caught:
            train(config)
        assert str(caught.value) == f"interrupted by {number.name}: step {kept} is kept"
        assert caught.value.code == 128 + number
        folder = run_folder(config)
        assert folder.state == "started"
        assert folder.list_checkpoints()[0].name.startswith(f"step-{kept}-")
        assert [signal.getsignal(number) for number in range(1, 20)] == handlers
    same(trained(config), undisturbed)


def test_a_checkpoint_of_every_step_is_as_good(
    documents: Callable[..., CheckedConfig],
    signals: type[Signals],
    trained: Trained,
    shared: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By time; at a second signal the training ends at once, with the checkpoint that there is."""
    undisturbed = trained(documents(*RARELY, runs=shared))
    monkeypatch.setattr(checkpoints, "_SHARE", float("inf"))
    config = documents(*RARELY, "checkpoint_seconds=1e-6")
    assert run_folder(config).path.name == undisturbed[0].name
    for step in (2, 3, 6, 7, 10):
        signals.sent = [(signal.SIGTERM, "on_train_batch_end", step), (signal.SIGTERM, "on_train_batch_end", step)]
        with pytest.raises(Interrupted, match=f"step {step - 1} is kept"):
            train(config)
        newest, before = (*run_folder(config).list_checkpoints(), Path())[:2]
        assert newest.name.startswith(f"step-{step - 1}-")
        assert before.name.startswith(f"step-{step - 2}-" if step > 2 else "")
    same(trained(config), undisturbed)


def test_time_between_checkpoints_is_what_was_asked_or_what_they_cost(
    documents: Callable[..., CheckedConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that counts seconds: 1 a step, 4 a checkpoint; 3 % of the time is 134 steps, whatever is asked."""
    now, written = [0.0], []
    monkeypatch.setattr(checkpoints, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def save(path: Path) -> None:
        now[0] += 4
        written.append(trainer.global_step)

    trainer: Any = SimpleNamespace(global_step=0, max_steps=10_000, world_size=1, save_checkpoint=save)
    for seconds, expected in ((60.0, [60, 194, 328]), (200.0, [200, 400]), (None, [])):
        keep = Checkpoints(run_folder(documents()), 5000, seconds, 0, None, Interruption())
        trainer.global_step, now[0] = 0, 0.0
        written.clear()
        keep._last_written = 0.0
        for _ in range(450):
            trainer.global_step += 1
            now[0] += 1
            keep.on_train_batch_end(trainer)
            keep.on_train_batch_end(trainer)  # of a micro-batch without a step
        assert written == expected


def test_a_handler_of_somebody_else_acts_after_the_checkpoint_and_may_let_the_training_go_on(
    documents: Callable[..., CheckedConfig], signals: type[Signals], trained: Trained, shared: str
) -> None:
    """As submitit, which asks Slurm for another place at SIGUSR2, and lets SIGTERM pass."""
    undisturbed = trained(documents(*RARELY, runs=shared))
    config, kept = documents(*RARELY), []

    def requeue(number: int, frame: object) -> None:
        kept.append([path.name.split("-")[1] for path in run_folder(config).list_checkpoints()])

    before = signal.signal(signal.SIGUSR2, requeue)
    try:
        signals.sent = [(signal.SIGUSR2, "on_train_batch_end", 3), (signal.SIGUSR2, "on_train_batch_end", 6)]
        same(trained(config), undisturbed)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert kept == [["3"], ["6", "3"]]


def test_ignored_signals_stay_ignored(documents: Callable[..., CheckedConfig], signals: type[Signals]) -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        signals.sent = [(signal.SIGHUP, "on_train_batch_end", 1)]
        assert train(documents("steps=2")).steps == 2
    finally:
        signal.signal(signal.SIGHUP, before)
    assert not signals.sent

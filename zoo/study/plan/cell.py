"""Cells of a study, and the settings that they are made of; importing this loads neither torch nor Hydra."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from zoo.config.checking import CheckedConfig
    from zoo.runs.run_folder import RunFolder


class CellView(Protocol):
    """A cell as far as it can be told without its config: where its run lies and what became of it."""

    @property
    def arm(self) -> str:
        """Of the study."""

    @property
    def task(self) -> str:
        """Of the study."""

    @property
    def seed(self) -> int:
        """Of the run."""

    @property
    def rate(self) -> float | None:
        """The learning rate, where the study chooses it."""

    @property
    def tuning(self) -> bool:
        """True if it serves that choice alone."""

    @property
    def hash(self) -> str:
        """The name of the run's folder."""

    @property
    def folder(self) -> RunFolder:
        """Where the run lies."""

    @property
    def steps(self) -> int:
        """Of the whole training."""

    def compare(self) -> str:
        """Returns what became of the run; see :meth:`zoo.runs.run_folder.RunFolder.compare`."""


def name_cell(cell: CellView) -> str:
    """Returns the name of a cell in lines for people."""
    rate = "" if cell.rate is None else f" lr {cell.rate:g}"
    return f"{cell.task} {cell.arm}{rate} seed {cell.seed}"


@dataclass(frozen=True)
class Cell:
    """One run of a study: an arm, a task, a seed, and what ``zoo train`` would be told.

    ``rate`` is the learning rate where the study chooses it; a cell that is ``tuning`` serves that choice alone.
    """

    arm: str
    task: str
    seed: int
    overrides: tuple[str, ...]
    checked: CheckedConfig
    rate: float | None = None
    tuning: bool = False

    @property
    def name(self) -> str:
        """The name of the cell in lines for people."""
        return name_cell(self)

    @property
    def hash(self) -> str:
        """The name of the run's folder."""
        return self.checked.hash

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return self.checked.config.steps

    @property
    def folder(self) -> RunFolder:
        """Where the run lies."""
        from zoo.training.run import run_folder

        return run_folder(self.checked)

    def compare(self) -> str:
        """Returns what became of the run; see :meth:`zoo.runs.run_folder.RunFolder.compare`."""
        from zoo.training.run import find_status

        return find_status(self.checked)


@dataclass(frozen=True)
class Setting:
    """An arm on a task: all but the seed, and the learning rate where the study chooses it.

    ``left_out`` are the seeds that filters of the study take away.
    """

    arm: str
    task: str
    overrides: tuple[str, ...]
    checked: CheckedConfig
    left_out: frozenset[int] = frozenset()

    def build_cell(self, seed: int, rate: float | None = None, *, tuning: bool = False) -> Cell:
        """The run of a seed."""
        config, lines = replace(self.checked.config, seed=seed), [*self.overrides, f"seed={seed}"]
        if rate is not None:
            config = replace(config, optimizer=config.optimizer.replace_arguments(lr=rate))
            lines.append(f"optimizer.lr={rate}")
        return Cell(self.arm, self.task, seed, tuple(lines), replace(self.checked, complete=config), rate, tuning)

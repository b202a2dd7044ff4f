"""Cells of a study, and the settings they are built from; importing this module loads neither torch nor Hydra."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from zoo.config.checking import CheckedConfig
    from zoo.runs.run_folder import RunFolder


class CellView(Protocol):
    """Cell without its config: the folder of its run, and the state of the run."""

    @property
    def arm(self) -> str:
        """Name of the arm."""

    @property
    def task(self) -> str:
        """Name of the task."""

    @property
    def seed(self) -> int:
        """Seed of the run."""

    @property
    def rate(self) -> float | None:
        """Learning rate, if the study chooses it."""

    @property
    def tuning(self) -> bool:
        """True if the run serves only this choice."""

    @property
    def hash(self) -> str:
        """Name of the folder of the run."""

    @property
    def folder(self) -> RunFolder:
        """Folder of the run."""

    @property
    def steps(self) -> int:
        """Number of training steps."""

    def compare(self) -> str:
        """Returns the state of the run; see :meth:`zoo.runs.run_folder.RunFolder.compare`."""


def name_cell(cell: CellView) -> str:
    """Returns the name of a cell for messages."""
    rate = "" if cell.rate is None else f" lr {cell.rate:g}"
    return f"{cell.task} {cell.arm}{rate} seed {cell.seed}"


@dataclass(frozen=True)
class Cell:
    """A run of a study.

    Attributes:
        arm: Name of the arm.
        task: Name of the task.
        seed: Seed of the run.
        overrides: Overrides of ``zoo train`` for this run.
        checked: Checked config.
        rate: Learning rate, if the study chooses it.
        tuning: True if the run serves only this choice.
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
        """Name of the cell for messages."""
        return name_cell(self)

    @property
    def hash(self) -> str:
        """Name of the folder of the run."""
        return self.checked.hash

    @property
    def steps(self) -> int:
        """Number of training steps."""
        return self.checked.config.steps

    @property
    def folder(self) -> RunFolder:
        """Folder of the run."""
        from zoo.training.run import run_folder

        return run_folder(self.checked)

    def compare(self) -> str:
        """Returns the state of the run; see :meth:`zoo.runs.run_folder.RunFolder.compare`."""
        from zoo.training.run import find_status

        return find_status(self.checked)


@dataclass(frozen=True)
class Setting:
    """An arm on a task, for any seed and learning rate.

    Attributes:
        arm: Name of the arm.
        task: Name of the task.
        overrides: Overrides of ``zoo train`` for its runs.
        checked: Checked config.
        left_out: Seeds that filters exclude.
    """

    arm: str
    task: str
    overrides: tuple[str, ...]
    checked: CheckedConfig
    left_out: frozenset[int] = frozenset()

    def build_cell(self, seed: int, rate: float | None = None, *, tuning: bool = False) -> Cell:
        """Builds the cell of a seed, with a learning rate if the study chooses it."""
        config, lines = replace(self.checked.config, seed=seed), [*self.overrides, f"seed={seed}"]
        if rate is not None:
            config = replace(config, optimizer=config.optimizer.replace_arguments(lr=rate))
            lines.append(f"optimizer.lr={rate}")
        return Cell(self.arm, self.task, seed, tuple(lines), replace(self.checked, complete=config), rate, tuning)

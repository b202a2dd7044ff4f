"""Expansion of a study: all arms on all tasks, what does not apply, and what was changed to match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zoo.report.records.records import Match
from zoo.study.plan.cell import Cell, Setting


@dataclass(frozen=True)
class Expansion:
    """All settings of a study.

    Attributes:
        settings: Arms on tasks, checked and matched.
        not_applicable: Arm, task, and the reason why the arm cannot be built there.
        matches: Changes that match an arm to the baseline, by arm and task.
        left_out: Arm, task, and the seeds that filters exclude.
        side_changes: Options that a swapped part changes besides itself, by arm and task.
    """

    settings: tuple[Setting, ...]
    not_applicable: tuple[tuple[str, str, str], ...] = ()
    matches: Mapping[tuple[str, str], Match] = field(default_factory=dict)
    left_out: tuple[tuple[str, str, tuple[int, ...]], ...] = ()
    side_changes: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def build_cells(self, seeds: Sequence[int]) -> list[Cell]:
        """Builds the cell of each setting and seed, with the learning rate of the config."""
        return [setting.build_cell(seed) for setting in self.settings for seed in seeds if seed not in setting.left_out]

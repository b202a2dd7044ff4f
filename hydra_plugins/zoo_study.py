"""The sweeper behind ``zoo study``; Hydra looks for sweepers in this place only.

Hydra runs this module before it is in ``sys.modules``, so the dataclass must not have postponed annotations.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import MISSING, DictConfig


@dataclass
class StudySweeperConfig:
    """Which study, and whether to run it."""

    _target_: str = "hydra_plugins.zoo_study.StudySweeper"
    study: str = MISSING
    dry_run: bool = False


ConfigStore.instance().store(group="hydra/sweeper", name="zoo_study", node=StudySweeperConfig, provider="zoo")


class StudySweeper(Sweeper):
    """Hands the cells of a study to whatever launcher was chosen.

    Args:
        study: name, folder or file.
        dry_run: print the cells and stop.
    """

    def __init__(self, study: str, dry_run: bool) -> None:
        self.study, self.dry_run = study, dry_run
        self.config: DictConfig | None = None
        self._launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the launcher."""
        self.config = config
        self.hydra_context = hydra_context
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the study; leaves with 1 if a cell has no result."""
        from zoo.study.sweep import sweep  # Hydra imports this module for every command

        if sweep(self.study, arguments, self._launch, dry_run=self.dry_run) and not self.dry_run:
            raise SystemExit(1)

    def _launch(self, jobs: Sequence[Sequence[str]]) -> None:
        if self._launcher is not None and jobs:
            self._launcher.launch(jobs, initial_job_idx=0)

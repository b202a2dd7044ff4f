"""The sweeper behind ``zoo study``; Hydra looks for sweepers in this place only.

Hydra runs this module before it is in ``sys.modules``, so the dataclass must not have postponed annotations.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import MISSING, DictConfig, OmegaConf


@dataclass
class StudySweeperConfig:
    """Which study, whether to run it, and what follows a failure."""

    _target_: str = "hydra_plugins.zoo_study.StudySweeper"
    study: str = MISSING
    dry_run: bool = False
    on_failure: str = "go_on"
    retries: int = 0


ConfigStore.instance().store(group="hydra/sweeper", name="zoo_study", node=StudySweeperConfig, provider="zoo")


class StudySweeper(Sweeper):
    """Hands the cells of a study to whatever launcher was chosen.

    Args:
        study: name, folder or file.
        dry_run: print the cells and stop.
        on_failure: of a run: ``go_on`` with the others, or ``stop``.
        retries: how often a run that failed is tried again.
    """

    def __init__(self, study: str, dry_run: bool, on_failure: str, retries: int) -> None:
        self.study, self.dry_run = study, dry_run
        self.on_failure, self.retries = on_failure, retries
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
        from zoo.study.cells import Policy  # Hydra imports this module for every command
        from zoo.study.sweep import sweep

        policy = Policy(self.on_failure, self.retries, self._abreast())
        left = sweep(self.study, arguments, self._launch, dry_run=self.dry_run, policy=policy)
        if left and not self.dry_run:
            raise SystemExit(1)

    def _launch(self, jobs: Sequence[Sequence[str]]) -> list[str | None]:
        """Run jobs; what each failed of, where its launcher says so."""
        if self._launcher is None or not jobs:
            return []
        returns = self._launcher.launch(jobs, initial_job_idx=0)
        return [_error(each) for each in returns]

    def _abreast(self) -> int:
        """How many runs the launcher has going at a time, where it has an option that says so."""
        for option in ("n_jobs", "array_parallelism"):
            if self.config is not None and (given := OmegaConf.select(self.config, f"hydra.launcher.{option}")):
                return int(given) if int(given) > 0 else os.cpu_count() or 1
        return 1


def _error(result: JobReturn) -> str | None:
    if result.status != JobStatus.FAILED:
        return None
    error = result._return_value  # the property raises it
    return f"{type(error).__name__}: {error}"

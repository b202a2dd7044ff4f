"""The sweeper behind ``zoo study``; Hydra looks for sweepers in this place only.

Hydra runs this module before it is in ``sys.modules``, so the dataclass must not have postponed annotations.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import MISSING, DictConfig, OmegaConf

from zoo.system.terminal import say


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
        """Make the launcher; submitit keeps its scripts and logs beside the runs unless it is told where."""
        told = any(line.startswith("hydra.launcher.submitit_folder=") for line in config.hydra.overrides.hydra)
        if "submitit_folder" in config.hydra.launcher and not told:
            config.hydra.launcher.submitit_folder = f"{config.runs}/.submitit/%j"
        self.config = config
        self.hydra_context = hydra_context
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the study; leaves with 1 if a cell has no result."""
        from zoo.study.run_study import run_study
        from zoo.study.train_cells import FailurePolicy  # Hydra imports this module for every command

        policy = FailurePolicy(self.on_failure, self.retries, self._abreast())
        left = run_study(self.study, arguments, self._launch, dry_run=self.dry_run, policy=policy)
        if left and not self.dry_run:
            raise SystemExit(1)

    def _launch(self, jobs: Sequence[Sequence[str]]) -> list[str | None]:
        """Run jobs, where this command was called; what each failed of, where its launcher says so."""
        if self._launcher is None or not jobs:
            return []
        here = (f"hydra.sweep.dir='{os.getcwd()}'", "hydra.job.chdir=true")  # a worker may have begun anywhere
        placed = [(*job, *here) for job in jobs]
        local = self._is("LocalLauncher")  # of submitit: begins all that it is given at once
        size = self._abreast() if local else len(placed)
        with _all_waited_for() if local or self._is("SlurmLauncher") else nullcontext():
            batches = (placed[at : at + size] for at in range(0, len(placed), size))
            return [_error(each) for batch in batches for each in self._launcher.launch(batch, initial_job_idx=0)]

    def _abreast(self) -> int:
        """How many runs the launcher has going at a time, as far as can be told here."""
        for option in ("n_jobs", "array_parallelism"):
            if self.config is not None and (given := OmegaConf.select(self.config, f"hydra.launcher.{option}")):
                return int(given) if int(given) > 0 else os.cpu_count() or 1
        return (os.cpu_count() or 1) if self._is("LocalLauncher") or self._is("RayLauncher") else 1

    def _is(self, launcher: str) -> bool:
        return type(self._launcher).__name__ == launcher


@contextmanager
def _all_waited_for() -> Iterator[None]:
    """Have a job that submitit lost (killed, cancelled, out of time) not end the wait for the others."""
    from submitit import Job

    results = Job.results

    def results_or_nothing(job: Any) -> Any:
        try:
            return results(job)
        except Exception as error:  # what became of the run, its folder says
            say(next(iter(str(error).splitlines()), ""), file=sys.stderr)
            lost = JobReturn()
            lost.status = JobStatus.UNKNOWN
            return [lost]

    Job.results = results_or_nothing
    try:
        yield
    finally:
        Job.results = results


def _error(result: JobReturn) -> str | None:
    if result.status != JobStatus.FAILED:
        return None
    error = result._return_value  # the property raises it
    return f"{type(error).__name__}: {error}"

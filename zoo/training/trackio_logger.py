"""Logger for trackio, which has no Lightning logger of its own."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import trackio
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers.logger import Logger


class TrackioLogger(Logger):
    """Logs metrics to a local trackio dashboard (``trackio show``).

    Args:
        project: name of the project.
        run: name of the run; None lets trackio choose.
    """

    def __init__(self, project: str, run: str | None = None) -> None:
        super().__init__()
        self._project, self._run, self._begun = project, run, False

    @property
    def name(self) -> str:
        """Name of the project."""
        return self._project

    @property
    def version(self) -> str:
        """Name of the run."""
        return self._run or ""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Logs metrics at a step."""
        if not self._begun:
            trackio.init(project=self._project, name=self._run)
            self._begun = True
        trackio.log(dict(metrics), step=step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the config is in ``config.yaml``."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Ends the run."""
        if self._begun:
            trackio.finish()

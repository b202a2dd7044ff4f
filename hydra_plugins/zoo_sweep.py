"""The sweeper behind ``zoo train -m``; Hydra looks for sweepers in this place only.

Hydra's own one begins to train before it has looked at all runs, stops with a traceback, and leaves ``multirun.yaml``.
Hydra runs this module before it is in ``sys.modules``, so the dataclass must not have postponed annotations.
"""

import os
import sys
from dataclasses import dataclass
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper, BasicSweeperConf
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, JobStatus

from zoo.system.terminal import say


@dataclass
class RunSweeperConfig(BasicSweeperConf):
    """As that of Hydra's basic sweeper: ``max_batch_size`` and ``params``."""

    _target_: str = "hydra_plugins.zoo_sweep.RunSweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="zoo", node=RunSweeperConfig, provider="zoo")


class RunSweeper(BasicSweeper):  # type: ignore[misc, unused-ignore]
    """Expands a sweep, checks all of its runs, and hands them to whatever launcher was chosen."""

    def sweep(self, arguments: list[str]) -> list[Any]:
        """Train all runs; one that fails does not keep the others from being trained.

        Raises:
            Refused: with all problems of all runs, before the first one is begun; later, with what runs were refused
                for if nothing worse happened.
            SystemExit: with 1 if a run failed otherwise.
        """
        from zoo.checks import Refused  # Hydra imports this module for every command
        from zoo.cli.train_sweep import describe_differences, expand_sweep, require_sound

        assert self.launcher is not None
        if self.max_batch_size is not None and self.max_batch_size < 1:
            raise Refused(f"hydra.sweeper.max_batch_size: must be positive: got {self.max_batch_size}")
        runs = expand_sweep([*self._parse_config(), *arguments])
        require_sound(runs)
        size = self.max_batch_size or len(runs)
        results: list[JobReturn] = []
        for begin in range(0, len(runs), size):
            results += self.launcher.launch(runs[begin : begin + size], initial_job_idx=begin)
        named = zip(describe_differences(runs), map(_error, results), strict=True)
        _report_failures([(name, error) for name, error in named if error is not None])
        return results


def _report_failures(errors: list[tuple[str, BaseException]]) -> None:
    """Raise the one error, or all that are refusals as one; print others, a line each, and leave with 1."""
    from zoo.checks import Refused

    if len(errors) == 1 or (errors and os.environ.get("ZOO_DEBUG")):
        raise errors[0][1]
    lines = [f"{name}: {line}" for name, error in errors for line in _lines(error)]
    if errors and all(isinstance(error, Refused) for _, error in errors):
        raise Refused("\n".join(lines))
    if errors:
        say("\n".join(f"zoo: {line}" for line in lines), file=sys.stderr)
        raise SystemExit(1)


def _lines(error: BaseException) -> list[str]:
    from zoo.checks import Refused

    lines = str(error).splitlines() or [""]
    return lines if isinstance(error, Refused) else [f"{type(error).__name__}: {lines[0]}"]


def _error(result: JobReturn) -> BaseException | None:
    """What a run failed of; the property that holds it would print a line of its own."""
    return result._return_value if result.status == JobStatus.FAILED else None

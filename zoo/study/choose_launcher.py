"""The default Hydra launcher of a study."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def choose_launcher(overrides: Sequence[str]) -> list[str]:
    """Returns the overrides that select the default launcher: one process with one thread for each CPU core.

    Where runs train on a GPU, Hydra's own launcher is kept, which runs them one after another.

    Args:
        overrides: Overrides on the command line; a launcher or number of threads given there is kept.
    """
    import joblib
    import torch

    gpu = torch.cuda.is_available() and not {"trainer=cpu", "trainer.accelerator=cpu"} & set(overrides)
    is_chosen = any(override.startswith("hydra/launcher=") for override in overrides)
    threads = [] if any(override.startswith("threads=") for override in overrides) else ["threads=1"]
    if is_chosen or gpu or sys.platform == "win32":
        return threads
    return [*threads, "hydra/launcher=joblib", f"hydra.launcher.n_jobs={joblib.cpu_count()}"]

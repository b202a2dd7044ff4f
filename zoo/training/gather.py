"""The whole model of a training whose devices hold shards."""

from __future__ import annotations

from dataclasses import replace

import torch

from zoo.config.data_and_objective import make_objective
from zoo.model.build import assemble
from zoo.training.job import Job
from zoo.training.lightning_module import Training
from zoo.training.sharded_strategy import ShardedStrategy


def gather_job(job: Job, module: Training) -> Job:
    """Returns the job with the trained model and objective in one piece on the CPU, in the first process.

    All processes must call it. Without shards, and in other processes, the job is returned unchanged.
    """
    strategy = module.trainer.strategy
    if not isinstance(strategy, ShardedStrategy):
        return job
    state = strategy.gather_state()
    if not state:
        return job
    with torch.random.fork_rng():  # the initial weights that are overwritten
        model, objective = assemble(job.plan, job.model.vocabulary), make_objective(job.config, job.prepared.vocabulary)
    model.origin = job.model.origin
    for name, part in (("model.", model), ("objective.", objective)):
        part.load_state_dict({key.removeprefix(name): value for key, value in state.items() if key.startswith(name)})
    return replace(job, model=model, objective=objective)

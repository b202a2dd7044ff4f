"""Training of a job with Lightning."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import lightning
from lightning.pytorch.callbacks import ProgressBar
from safetensors.torch import save_model

from zoo.config.targets import import_target
from zoo.hub.initial_weights import CheckpointStart
from zoo.hub.origin import write_origin
from zoo.runs.claim import Claim
from zoo.runs.run_result import RunResult
from zoo.system.files import compute_digest, replace_file, write_file
from zoo.system.signals import Interrupted, Interruption
from zoo.training.batches import TrainingBatches, ValidationViews, make_loader
from zoo.training.checkpoints import Checkpoints, find_checkpoint
from zoo.training.compile_model import compile_model
from zoo.training.depth_statistics import DepthStatistics
from zoo.training.evaluation import Evaluation
from zoo.training.gather import gather_job
from zoo.training.job import Job
from zoo.training.lightning_module import Training
from zoo.training.metrics_logger import MetricsFile
from zoo.training.precision import TrueBfloat16
from zoo.training.progress import make_progress_bar
from zoo.training.provenance import Energy, PeakMemory
from zoo.training.sharded_checkpoints import AnyLayout
from zoo.training.sharded_strategy import find_share
from zoo.training.summarize import build_result

_log = logging.getLogger("zoo")


def fit(job: Job, claim: Claim | None) -> RunResult | None:
    """Trains a job to the end, from its last checkpoint on, and writes the result to its folder.

    Args:
        job: the job.
        claim: claim on the run; None in other than the main process of a run on several devices.
    Returns:
        the result; None in other than the main process.
    """
    silence_lightning()
    with Interruption() as interruption:
        return _fit(job, claim, interruption)


def _fit(job: Job, claim: Claim | None, interruption: Interruption) -> RunResult | None:
    memory, energy, config, prepared = PeakMemory(), Energy(), job.config, job.prepared
    predicted = 0 if prepared.lost["validation"] else prepared.validation.bytes
    evaluation = Evaluation(job.objective, prepared.form, job.model.vocabulary, predicted)
    optimizer, schedule = import_target(config.optimizer), import_target(config.schedule)()
    module = Training(job.model, job.objective, evaluation, optimizer, schedule, config.seed)
    if config.compile:
        compile_model(job.model, prepared.form)
    checkpoint, resumed = find_checkpoint(job.folder, main=claim is not None)
    trainer = _make_trainer(job, resumed, claim, interruption)
    share = find_share(trainer)
    size = (config.batch, config.accumulate)
    training = TrainingBatches(prepared.train, job.objective, *size, config.seed, resumed, share)
    validation = make_loader(ValidationViews(prepared.validation, job.objective, config.batch, share))
    with _restore_interruption(interruption):
        trainer.fit(module, make_loader(training), validation, ckpt_path=checkpoint, weights_only=True)
        interruption.end_at_once()
        if module.global_step % config.evaluate or not module.evaluated:
            trainer.validate(module, validation, verbose=False)
    job = gather_job(job, module)
    if not trainer.is_global_zero or claim is None:
        return None
    result = build_result(job, module, memory.read_bytes(), None if resumed else energy.read_joules())
    claim.require_held(on_disk=True)
    with replace_file(job.folder.path / "model.safetensors") as draft:
        save_model(job.model, str(draft))
    write_file(job.folder.path / "tokenizer.json", prepared.tokenizer.to_str(pretty=True))
    if isinstance(job.model.origin, CheckpointStart):
        write_origin(job.model.origin.origin, job.folder.path / "origin")
    files = {name: compute_digest(job.folder.path / name) for name in ("model.safetensors", "tokenizer.json")}
    result = replace(result, files=files, finished=datetime.now(UTC).replace(microsecond=0))
    job.folder.record_result(result)
    job.folder.clear()
    return result


def _make_trainer(job: Job, resumed: int, claim: Claim | None, interruption: Interruption) -> lightning.Trainer:
    config = job.config
    bars = [] if job.is_quiet else [make_progress_bar(config.label, config.steps)]
    every, seconds = config.checkpoint, config.checkpoint_seconds
    keep = Checkpoints(job.folder, every, seconds, resumed, claim, interruption)
    defaults = {"enable_model_summary": False, "log_every_n_steps": 10, "num_sanity_val_steps": 0}
    whole = config.precision == "bf16-true"
    trainer: lightning.Trainer = import_target(config.trainer)(
        **{**defaults, **config.trainer.arguments},
        max_steps=config.steps,
        max_epochs=-1,
        precision=None if whole else config.precision,
        plugins=[AnyLayout(), *([TrueBfloat16()] if whole else [])],
        gradient_clip_val=config.clip,
        accumulate_grad_batches=config.accumulate,
        val_check_interval=config.evaluate * config.accumulate,
        check_val_every_n_epoch=None,
        default_root_dir=job.folder.path,
        use_distributed_sampler=False,
        logger=[MetricsFile(job.folder.path, resumed), *job.loggers],
        callbacks=[keep, DepthStatistics(config.evaluate), *bars, *job.callbacks],
        enable_progress_bar=any(isinstance(bar, ProgressBar) for bar in bars),
    )
    return trainer


@contextlib.contextmanager
def _restore_interruption(interruption: Interruption) -> Iterator[None]:
    """Raises interruptions unchanged.

    Lightning turns Ctrl-C into an exit with code 1, and SIGTERM before the first step into one with code 0.
    """
    try:
        yield
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            raise end.__context__ from None
        if interruption.number:
            raise Interrupted(interruption.number, interruption.done) from None
        raise


def silence_lightning() -> None:
    """Silences messages that Lightning logs at every start (devices, tips), and warnings that do not apply here."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # torchmetrics reduces metrics over processes before they are logged.
    warnings.filterwarnings("ignore", message=".*recommended to use .*sync_dist=True.*")
    warnings.filterwarnings("ignore", module="lightning.pytorch.utilities._pytree")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")

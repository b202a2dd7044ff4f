"""One training from a checked config to a result; the same config gives the same run, done once."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import pickle
import shutil
import signal
import threading
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, ProgressBar
from lightning.pytorch.loggers import Logger
from safetensors.torch import save_model

from zoo import build
from zoo.checking import Checked, install, make_objective, part_of
from zoo.checks import Refused, require
from zoo.data.prepare import Prepared, prepare
from zoo.interfaces import Objective
from zoo.training.batches import Share, TrainingViews, ValidationViews, loader
from zoo.training.evaluation import Evaluation
from zoo.training.folder import RunFolder
from zoo.training.job import Job
from zoo.training.metrics_file import MetricsFile
from zoo.training.module import Training
from zoo.training.precision import TrueBfloat16
from zoo.training.progress import progress
from zoo.training.provenance import (
    PeakMemory,
    code_fingerprint,
    components_fingerprint,
    git_revision,
    hardware,
    versions,
)
from zoo.training.result import result_of
from zoo.training.streams import stream
from zoo.variants.variant import Variant

_log = logging.getLogger("zoo")


def run_folder(checked: Checked) -> RunFolder:
    """Where the run of a config lies."""
    return RunFolder(Path(checked.config["runs"]) / checked.hash)


def standing(checked: Checked) -> str:
    """What became of the run of a config: the state of its folder, or stale if other code made its result."""
    folder = run_folder(checked)
    before = folder.read("result.json")
    if before is None:
        return folder.state
    now = {"code": code_fingerprint(), "components": components_fingerprint(_components(checked.config))}
    return "done" if now.items() <= before["fingerprints"].items() else "stale"


def train(checked: Checked) -> dict[str, Any]:
    """Train, or return the result that is there already; an interrupted run goes on from its last checkpoint.

    Args:
        checked: the config; must be free of problems.
    Returns:
        the content of ``result.json``; nothing in the further processes of a run on several devices.
    Raises:
        Refused: for what is wrong with config or data; before any folder is made.
    """
    checked.require()
    config, folder = checked.config, run_folder(checked)
    if config["threads"] is not None:
        torch.set_num_threads(config["threads"])
    prepared = prepare_data(config)
    facts = _facts(config, prepared)
    if _is_main() and (done := _existing(folder, facts)) is not None:
        return done
    job = Job(config, folder, prepared, *_made(checked, prepared), facts)
    if not _is_main():
        return _fit(job)
    folder.begin({key: value for key, value in config.items() if key != "label"}, facts)
    try:
        return _fit(job)
    except Exception as error:
        folder.fail(error)
        raise


def _made(checked: Checked, prepared: Prepared) -> tuple[Variant, Objective, list[Logger], list[Callback]]:
    """What a job needs and what can still be refused: model, objective, further loggers and callbacks."""
    config = checked.config
    if checked.plan is None:
        raise Refused("model: must be given")
    with torch.random.fork_rng():
        torch.manual_seed(stream(config["seed"], "weights"))
        model = build.assemble(checked.plan, prepared.vocabulary.size)
        objective = make_objective(config, prepared.vocabulary)
    loggers = [_made_target("logger", name, item) for name, item in config["logger"].items()]
    callbacks = [_made_target("callbacks", name, item) for name, item in config["callbacks"].items()]
    return model, objective, loggers, callbacks


def _made_target(section: str, name: str, item: Mapping[str, Any]) -> Any:
    try:
        return _target(item)()
    except ImportError as error:  # what it needs is not installed
        why = str(error).splitlines()[0]
        raise Refused(f"{section}.{name}: {item['_target_']} cannot be made: {why}{install(name)}") from error


def prepare_data(config: Mapping[str, Any]) -> Prepared:
    """The data of a checked config, tokenized."""
    data = config["data"]
    source: Any = build.make(part_of("data", data, "data"))
    tokenizer: Any = build.make(part_of("tokenizer", data["tokenizer"], "data.tokenizer"))
    return prepare(source, tokenizer, data["length"], Path(config["cache"]).expanduser())


def _existing(folder: RunFolder, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """The result that is there; what was made by other code or from other data is set aside."""
    before = folder.read("result.json") or folder.read("started.json")
    if before is None:
        return None
    for what, new in facts["fingerprints"].items():
        if before["fingerprints"].get(what) != new:
            _log.info("%s was made with other %s: set aside as %s", folder.path, what, folder.set_aside(what))
            return None
    result = folder.read("result.json")
    if result is not None:
        _log.info("%s is there already: not trained again", folder.path)
    return result


def _facts(config: Mapping[str, Any], prepared: Prepared) -> dict[str, Any]:
    components = components_fingerprint(_components(config))
    return {
        "fingerprints": {"data": prepared.fingerprint, "code": code_fingerprint(), "components": components},
        "versions": versions(),
        "hardware": hardware(),
        "git": git_revision(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _components(config: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Kind and name of every component in a config, wherever it stands."""
    found: set[tuple[str, str]] = set()

    def walk(node: Any, kind: str) -> None:
        if isinstance(node, Mapping):
            if isinstance(node.get("name"), str):
                found.add(("attention" if kind == "cross" else kind, node["name"]))
            for key, value in node.items():
                walk(value, str(key))

    for section in ("model", "data", "objective"):
        walk(config[section], section)
    return tuple(sorted(found | {("position", "none")}))


# -------------------------------------------------------------------------------------------------------- training


def _fit(job: Job) -> dict[str, Any]:
    _quieten_lightning()
    memory, config, prepared = PeakMemory(), job.config, job.prepared
    evaluation = Evaluation(job.objective, prepared.form, job.model.vocabulary, prepared.validation.bytes)
    optimizer, schedule = _target(config["optimizer"]), _target(config["schedule"])()
    module = Training(job.model, job.objective, evaluation, optimizer, schedule, config["seed"])
    checkpoint, resumed = _resumable(job.folder)
    trainer = _trainer(job, resumed)
    share = Share(trainer.global_rank, trainer.world_size)
    require(
        share.world <= config["batch"],
        f"batch must be at least the number of devices: got batch={config['batch']}, devices={share.world}",
    )
    start = resumed * config["accumulate"]
    training = TrainingViews(prepared.train, job.objective, config["batch"], config["seed"], start, share)
    validation = loader(ValidationViews(prepared.validation, job.objective, config["batch"], share))
    with _interruptible():
        trainer.fit(module, loader(training), validation, ckpt_path=checkpoint, weights_only=True)
    if module.global_step % config["evaluate"] or not module.evaluated:
        trainer.validate(module, validation, verbose=False)
    if not trainer.is_global_zero:
        return {}
    result = result_of(job, module, memory.bytes())
    save_model(job.model, str(job.folder.path / "model.safetensors"))
    prepared.tokenizer.save(str(job.folder.path / "tokenizer.json"))
    job.folder.finish(result)
    shutil.rmtree(job.folder.checkpoints, ignore_errors=True)
    return result


def _resumable(folder: RunFolder) -> tuple[Path | None, int]:
    """The newest checkpoint that is whole (a kill may cut one off), and the steps that were done by then."""
    for path in folder.newest_checkpoints():
        try:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            _log.info("%s: going on from step %d", folder.path, state["global_step"])
            return path, int(state["global_step"])
        except (OSError, RuntimeError, KeyError, pickle.UnpicklingError, EOFError) as error:
            _log.info("%s cannot be read and is passed over: %s", path, error)
    return None, 0


def _trainer(job: Job, resumed: int) -> lightning.Trainer:
    config = job.config
    bar = progress(config["label"], config["steps"])
    keep = ModelCheckpoint(
        dirpath=job.folder.checkpoints,
        filename="state",
        every_n_train_steps=config["checkpoint"],
        save_on_train_epoch_end=False,
    )
    defaults = {"enable_model_summary": False, "log_every_n_steps": 10, "num_sanity_val_steps": 0}
    whole = config["precision"] == "bf16-true"
    trainer: lightning.Trainer = _target(config["trainer"] | defaults | config["trainer"])(
        max_steps=config["steps"],
        max_epochs=-1,
        precision=None if whole else config["precision"],
        plugins=[TrueBfloat16()] if whole else None,
        gradient_clip_val=config["clip"],
        accumulate_grad_batches=config["accumulate"],
        val_check_interval=config["evaluate"] * config["accumulate"],
        check_val_every_n_epoch=None,
        default_root_dir=job.folder.path,
        use_distributed_sampler=False,
        logger=[MetricsFile(job.folder.path, resumed), *job.loggers],
        callbacks=[keep, bar, *job.callbacks],
        enable_progress_bar=isinstance(bar, ProgressBar),
    )
    return trainer


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Lightning turns the first Ctrl-C into an exit, and is deaf to the next."""
    heard = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from end
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, heard)


def _quieten_lightning() -> None:
    """What Lightning tells at every start (devices, tips) would drown the progress of a study."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Metrics of a whole split are summed over processes by torchmetrics before they are logged.
    warnings.filterwarnings("ignore", message=".*recommended to use .*sync_dist=True.*")
    warnings.filterwarnings("ignore", module="lightning.pytorch.utilities._pytree")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")


def _target(section: Mapping[str, Any]) -> Any:
    """The class or function that a section names, with the section's other values as arguments."""
    module, _, name = str(section["_target_"]).rpartition(".")
    arguments = {key: value for key, value in section.items() if key != "_target_"}
    return partial(getattr(importlib.import_module(module), name), **arguments)


def _is_main() -> bool:
    """Whether this is the process that writes: Lightning's DDP starts the others with a LOCAL_RANK."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("NODE_RANK", "0")) == 0

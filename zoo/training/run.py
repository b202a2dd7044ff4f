"""One training from a checked config to a result; the same config gives the same run, done once."""

from __future__ import annotations

import importlib
import json
import logging
import math
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from safetensors.torch import save_model

from zoo import build
from zoo.checking import Checked, make_objective, part_of
from zoo.checks import Refused
from zoo.cost import Cost, cost
from zoo.data.batch import PairBatch
from zoo.data.prepare import Prepared, prepare
from zoo.generation.greedy import answer
from zoo.interfaces import Objective
from zoo.training.batches import Share, TrainingViews, ValidationViews, loader
from zoo.training.evaluation import Evaluation
from zoo.training.folder import RunFolder
from zoo.training.metrics_file import MetricsFile
from zoo.training.module import Training
from zoo.training.progress import progress
from zoo.training.provenance import PeakMemory, code_fingerprint, git_revision, hardware, versions
from zoo.training.streams import stream
from zoo.variants.variant import Variant

_log = logging.getLogger("zoo")
_BLEU_PAIRS = 128


def run_folder(checked: Checked) -> RunFolder:
    """Where the run of a config lies."""
    return RunFolder(Path(checked.config["runs"]) / checked.hash)


def train(checked: Checked, label: str = "") -> dict[str, Any]:
    """Train, or return the result that is there already; an interrupted run goes on from its last checkpoint.

    Args:
        checked: the config; must be free of problems.
        label: names the run in progress lines.
    Returns:
        the content of ``result.json``.
    Raises:
        Refused: for what is wrong with config or data; before any folder is made.
    """
    checked.require()
    if checked.plan is None:
        raise Refused("model: must be given")
    config, folder = checked.config, run_folder(checked)
    if config["threads"] is not None:
        torch.set_num_threads(config["threads"])
    prepared = prepare_data(config)
    facts = _facts(config, prepared)
    if _is_main():
        if (done := _existing(folder, facts)) is not None:
            return done
    with torch.random.fork_rng():
        torch.manual_seed(stream(config["seed"], "weights"))
        model = build.assemble(checked.plan, prepared.vocabulary.size)
        objective = make_objective(config, prepared.vocabulary)
    if _is_main():
        folder.begin(config, facts)
    try:
        return _fit(config, folder, prepared, model, objective, facts, label)
    except Exception as error:
        if _is_main():
            folder.fail(error)
        raise


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
    for what in ("data", "code"):
        old, new = before["fingerprints"][what], facts["fingerprints"][what]
        if old != new:
            _log.info("%s was made with other %s: set aside as %s", folder.path, what, folder.set_aside(what))
            return None
    return folder.read("result.json")


def _facts(config: Mapping[str, Any], prepared: Prepared) -> dict[str, Any]:
    return {
        "fingerprints": {"data": prepared.fingerprint, "code": code_fingerprint(_components(config))},
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


def _fit(
    config: Mapping[str, Any],
    folder: RunFolder,
    prepared: Prepared,
    model: Variant,
    objective: Objective,
    facts: dict[str, Any],
    label: str,
) -> dict[str, Any]:
    memory = PeakMemory()
    evaluation = Evaluation(objective, prepared.form, prepared.vocabulary.size, prepared.validation.bytes)
    optimizer, schedule = _target(config["optimizer"]), _target(config["schedule"])()
    module = Training(model, objective, evaluation, optimizer, schedule, config["seed"])
    checkpoint = folder.latest_checkpoint()
    resumed = int(checkpoint.stem.split("=")[-1]) if checkpoint is not None else 0
    trainer = _trainer(config, folder, resumed, label)
    share = Share(trainer.global_rank, trainer.world_size)
    if share.world > config["batch"]:
        raise Refused(f"batch must be at least the number of devices: got batch={config['batch']}, {share.world}")
    start = resumed * config["accumulate"]
    training = TrainingViews(prepared.train, objective, config["batch"], config["seed"], start, share)
    validation = loader(ValidationViews(prepared.validation, objective, config["batch"], share))
    trainer.fit(module, loader(training), validation, ckpt_path=checkpoint, weights_only=True)
    if config["steps"] % config["evaluate"] or module.diverged or not module.evaluated:
        trainer.validate(module, validation, verbose=False)
    if not trainer.is_global_zero:
        return {}
    result = _result(config, prepared, module, memory.bytes(), facts)
    save_model(model, str(folder.path / "model.safetensors"))
    prepared.tokenizer.save(str(folder.path / "tokenizer.json"))
    folder.finish(result)
    shutil.rmtree(folder.checkpoints, ignore_errors=True)
    return result


def _trainer(config: Mapping[str, Any], folder: RunFolder, resumed: int, label: str) -> lightning.Trainer:
    bars: list[Callback] = progress(label, config["steps"])
    keep = ModelCheckpoint(
        dirpath=folder.checkpoints,
        filename="{step}",
        every_n_train_steps=config["checkpoint"],
        save_on_train_epoch_end=False,
        enable_version_counter=False,
    )
    loggers = [MetricsFile(folder.path, resumed), *(_target(item)() for item in config["logger"].values())]
    given = {key: value for key, value in config["trainer"].items() if key != "_target_"}
    make: Any = _target({"_target_": config["trainer"]["_target_"]}).func
    trainer: lightning.Trainer = make(
        **{"enable_model_summary": False, "log_every_n_steps": 10, "num_sanity_val_steps": 0} | given,
        max_steps=config["steps"],
        max_epochs=-1,
        precision=config["precision"],
        gradient_clip_val=config["clip"],
        accumulate_grad_batches=config["accumulate"],
        val_check_interval=config["evaluate"] * config["accumulate"],
        check_val_every_n_epoch=None,
        default_root_dir=folder.path,
        use_distributed_sampler=False,
        logger=loggers,
        callbacks=[keep, *bars],
        enable_progress_bar=any(hasattr(bar, "progress") or hasattr(bar, "main_progress_bar_id") for bar in bars),
    )
    return trainer


def _target(section: Mapping[str, Any]) -> Any:
    """The class or function that a section names, with the section's other values as arguments."""
    module, _, name = str(section["_target_"]).rpartition(".")
    arguments = {key: value for key, value in section.items() if key != "_target_"}
    try:
        return partial(getattr(importlib.import_module(module), name), **arguments)
    except ImportError as error:
        raise Refused(f"{section['_target_']} cannot be imported: {error}") from error


def _is_main() -> bool:
    """Whether this is the process that writes: Lightning's DDP starts the others with a LOCAL_RANK."""
    import os

    return int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("NODE_RANK", "0")) == 0


# ---------------------------------------------------------------------------------------------------------- result


def _result(
    config: Mapping[str, Any], prepared: Prepared, module: Training, peak: int, facts: dict[str, Any]
) -> dict[str, Any]:
    measured = _cost(prepared, module, config)
    examples, bleu = _examples(prepared, module, config)
    metrics = {**module.evaluated, **bleu, "tokens_per_second": module.tokens / max(module.seconds, 1e-9)}
    return {
        "metrics": {name: value if math.isfinite(value) else None for name, value in metrics.items()},
        "diverged": module.diverged,
        "cost": {**vars(measured), "peak_memory_bytes": peak},
        "steps": module.global_step,
        "tokens": module.tokens,
        "seconds": module.seconds,
        "samples": examples,
        **facts,
    }


def _cost(prepared: Prepared, module: Training, config: Mapping[str, Any]) -> Cost:
    """Of the first batch of the validation split: what rows of this data and objective look like."""
    batch = ValidationViews(prepared.validation, module.objective, config["batch"], Share())[0]
    source = 0 if batch.inputs.source is None else batch.inputs.source.shape[1]
    return cost(module.model, batch.inputs.tokens.shape[1], source)


def _examples(
    prepared: Prepared, module: Training, config: Mapping[str, Any]
) -> tuple[list[dict[str, str]], dict[str, float]]:
    """What the model writes for the first held-out sources, and BLEU of it."""
    if prepared.form != "pairs":
        return [], {}
    from torchmetrics.text import BLEUScore

    count = min(_BLEU_PAIRS, len(prepared.validation))
    batch = prepared.validation.batch(range(count))
    if not isinstance(batch, PairBatch):
        raise TypeError("rows of pairs make batches of pairs")
    module.model.eval()
    written = answer(module.model, batch.to(module.device), prepared.vocabulary, prefix="prefix" in module.objective.needs)
    texts = [
        {
            "source": prepared.decode(batch.source[row, : batch.source_length[row]].tolist()),
            "target": prepared.decode(batch.target[row, : batch.target_length[row]].tolist()),
            "prediction": prepared.decode(tokens),
        }
        for row, tokens in enumerate(written)
    ]
    bleu = BLEUScore()(([text["prediction"] for text in texts]), [[text["target"]] for text in texts])
    return texts[: config["examples"]], {"bleu": float(bleu)}


def show(result: Mapping[str, Any]) -> str:
    """The result in one line."""
    metrics = json.loads(json.dumps(result["metrics"]))
    return "  ".join(f"{name} {'nan' if value is None else format(value, '.5g')}" for name, value in metrics.items())

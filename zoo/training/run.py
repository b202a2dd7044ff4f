"""Training from a checked config to a result; equal configs share one run, which is trained once."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from zoo.checks import Refused
from zoo.config.checking import CheckedConfig
from zoo.config.data_and_objective import find_required_tokens, make_objective
from zoo.config.lightning_import import import_lightning
from zoo.config.targets import find_value_problems, import_target, suggest_install
from zoo.data.prepare import PreparedData, tokenize_data
from zoo.data.special_tokens import Required
from zoo.hub.initial_weights import describe_initial_weights
from zoo.model import build
from zoo.model.objective import Objective
from zoo.model.parts import create_part
from zoo.model.plan import ModelPlan
from zoo.model.variants.variant import Variant
from zoo.runs.claim import Claim, ClaimLost
from zoo.runs.config_sections import DataConfig, Target
from zoo.runs.run_config import RunConfig
from zoo.runs.run_folder import RunFolder
from zoo.runs.run_result import RunResult
from zoo.runs.run_start import RunStart
from zoo.system.files import Damaged
from zoo.training.initial_model import build_initial_model
from zoo.training.job import Job
from zoo.training.provenance import (
    collect_versions,
    describe_hardware,
    find_git_revision,
    find_packages,
    hash_code,
    hash_components,
    hash_hub,
    hash_packages,
)
from zoo.training.random_streams import derive_seed
from zoo.training.source_packages import ImportTrace

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.loggers import Logger

_log = logging.getLogger("zoo")
_LOOK = 1.0  # seconds between checks of a run that another process trains


def run_folder(checked: CheckedConfig) -> RunFolder:
    """Returns the run folder of a config."""
    return RunFolder(Path(checked.config.runs) / checked.hash)


def find_status(checked: CheckedConfig) -> str:
    """Finds the status of the run of a config: state of its folder, ``damaged``, or ``stale`` if code has changed."""
    return run_folder(checked).compare(lambda: compute_fingerprints(checked.config))


def find_result(checked: CheckedConfig, data: str) -> RunResult | None:
    """Finds the result of a config, if it was made with the current code and data; builds nothing.

    Removes checkpoints left by a process that was killed after it wrote the result.

    Args:
        checked: config without problems.
        data: current fingerprint of the data, see :func:`hash_data`.
    """
    folder = run_folder(checked)
    found = _find_valid_result(folder, {"data": data, **compute_fingerprints(checked.config)})
    if found is not None:
        _clear(folder)
    return found


def hash_data(config: RunConfig) -> str:
    """Computes the fingerprint of the tokenized data of a config; prepares them if necessary."""
    return prepare_data(config).fingerprint


@contextlib.contextmanager
def _restore_determinism() -> Iterator[None]:
    """Restores the choice of deterministic kernels, which Lightning makes for the process and never takes back."""
    enabled, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(enabled, warn_only=warns)


@_restore_determinism()
def train(checked: CheckedConfig, *, wait: bool = True) -> RunResult | None:
    """Trains a run, or returns its existing result; an interrupted run resumes from its last checkpoint.

    Args:
        checked: the config.
        wait: whether to wait for another process that trains the same run; if not, returns None at once.
    Returns:
        the result; None in other than the main process of a run on several devices.
    Raises:
        Refused: with the problems of config or data, before any folder is created.
    """
    checked.require()
    config, folder = checked.config, run_folder(checked)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    prepared = prepare_data(config)
    start = _describe_start(config, prepared)
    if _is_main() and (done := _find_valid_result(folder, start.fingerprints)) is not None:
        _clear(folder)
        return done
    parts = _build_parts(checked, prepared)
    start = replace(start, checkpoint=describe_initial_weights(parts[1]))
    job = Job(config, folder, prepared, *parts, start)
    if not _is_main():
        return fit(job, None)
    claim = Claim(folder.path)
    if not _take_claim(claim, wait):
        return None
    with claim:
        if (done := _find_valid_result(folder, start.fingerprints)) is None:
            return _train_claimed(job, claim)
        folder.clear()
        return done


def _clear(folder: RunFolder) -> None:
    """Removes files left by a process that was killed after it wrote the result; a live process does so itself."""
    claim = Claim(folder.path)
    with contextlib.suppress(OSError):  # a result can be read where nothing can be written
        if claim.has_leftovers() and claim.take() is None:
            with claim:
                folder.clear()


def _take_claim(claim: Claim, wait: bool) -> bool:
    """Takes the claim; waits for another process that holds it, if asked to."""
    logged = None
    while (other := claim.take()) is not None:
        if other != logged:
            _log.info("%s is trained by %s: %s", claim.folder, other, "waiting for it" if wait else "left to it")
            logged = other
        if not wait:
            return False
        time.sleep(_LOOK)
    return True


def _train_claimed(job: Job, claim: Claim) -> RunResult | None:
    """Trains a claimed run, after stale or damaged files are set aside."""
    _set_aside(job.folder, job.start.fingerprints)
    job.folder.record_start(job.config, job.start)
    try:
        return fit(job, claim)
    except ClaimLost:
        raise
    except Exception as error:
        job.folder.record_failure(error)
        raise


def fit(job: Job, claim: Claim | None) -> RunResult | None:
    """Calls :func:`zoo.training.fit.fit`; imports Lightning late, because looking up results does not need it."""
    import_lightning()
    from zoo.training.fit import fit as fit_with_lightning

    return fit_with_lightning(job, claim)


def _build_parts(
    checked: CheckedConfig, prepared: PreparedData
) -> tuple[ModelPlan, Variant, Objective, list[Logger], list[Callback]]:
    """Builds model, objective, loggers and callbacks, each of which may still be refused."""
    config = checked.config
    if checked.plan is None:
        raise Refused("model: must be given")
    problems = find_value_problems("optimizer", config.optimizer, training=True)
    if problems := [*problems, *find_value_problems("schedule", config.schedule, training=True)]:
        raise Refused("\n".join(problems))
    import_lightning()
    from zoo.training.preflight import require_trainer

    require_trainer(config)
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(config.seed, "weights"))
        model = build_initial_model(checked, prepared.vocabulary.size)
        objective = make_objective(config, prepared.vocabulary)
        model.initialization.initialize_readouts(objective)
    objective.get_max_length(config.data.length)  # refuses a published tokenizer with too few sentinels
    loggers = [_build_target("logger", name, target) for name, target in config.logger.items()]
    callbacks = [_build_target("callbacks", name, target) for name, target in config.callbacks.items()]
    return checked.plan, model, objective, loggers, callbacks


def _build_target(section: str, name: str, target: Target) -> Any:
    try:
        return import_target(target)()
    except ImportError as error:  # an optional package is not installed
        why = str(error).splitlines()[0]
        raise Refused(f"{section}.{name}: {target.path} cannot be created: {why}{suggest_install(name)}") from error


def prepare_data(config: RunConfig) -> PreparedData:
    """Tokenizes the data of a config, with the special tokens that its objective needs."""
    required = find_required_tokens(config.objective, config.model, config.data)
    return prepare_section(config.data, config.cache, required)


def prepare_section(data: DataConfig, cache: str, required: Required) -> PreparedData:
    """Tokenizes the data of a section ``data``.

    Args:
        data: checked section.
        cache: folder of tokenized data.
        required: special tokens that the objective needs.
    """
    source: Any = build.make_component(create_part("data", data.source, "data"))
    tokenizer: Any = build.make_component(create_part("tokenizer", data.tokenizer, "data.tokenizer"))
    return tokenize_data(source, tokenizer, data.length, Path(cache).expanduser(), required)


def _find_valid_result(folder: RunFolder, fingerprints: Mapping[str, str]) -> RunResult | None:
    """Finds an existing result, if it was made with the current code and data and its files are not damaged."""
    try:
        folder.require_readable()
    except Damaged:  # reported when the run is claimed and set aside
        return None
    result = folder.read_result()
    if result is None or result.find_change(fingerprints) is not None:
        return None
    _log.info("%s is there already: not trained again", folder.path)
    return result


def _set_aside(folder: RunFolder, fingerprints: Mapping[str, str]) -> None:
    """Sets aside a run that is damaged, or was made with other code or data."""
    try:
        folder.require_readable()
    except Damaged as error:
        _log.warning("%s: set aside as %s, and trained again", error, folder.set_aside("damaged"))
        return
    before = folder.read_result() or folder.read_start()
    if before is not None and (what := before.find_change(fingerprints)) is not None:
        _log.info("%s was made with other %s: set aside as %s", folder.path, what, folder.set_aside(what))


def _describe_start(config: RunConfig, prepared: PreparedData) -> RunStart:
    return RunStart(
        fingerprints={"data": prepared.fingerprint, **compute_fingerprints(config)},
        versions=collect_versions(),
        packages={package.name: str(package) for package in _find_packages(config).packages},
        hardware=describe_hardware(),
        git=find_git_revision(),
        started=datetime.now(UTC).replace(microsecond=0),
    )


def compute_fingerprints(config: RunConfig) -> dict[str, str]:
    """Computes fingerprints of the code that affects the numbers of a run.

    Covers sources of zoo and of packages and, for a run from a checkpoint, of the code that reads checkpoints.
    """
    imported = _find_packages(config)
    found = {"code": hash_code(), "components": hash_components(_list_components(config), imported.zoo)}
    if imported.packages:
        found["packages"] = hash_packages(imported.packages)
    return found if config.model.checkpoint is None else {**found, "hub": hash_hub()}


def _find_packages(config: RunConfig) -> ImportTrace:
    """Finds the packages that a run imports besides zoo; loggers are left out, because they do not affect numbers."""
    targets = (config.optimizer, config.schedule, config.trainer, *config.callbacks.values())
    return find_packages(_list_components(config), (target.path for target in targets))


def _list_components(config: RunConfig) -> tuple[tuple[str, str], ...]:
    """Lists kind and name of every component in a config."""
    found: set[tuple[str, str]] = set()

    def walk(node: Any, kind: str) -> None:
        if isinstance(node, Mapping):
            if isinstance(node.get("name"), str):
                found.add(("attention" if kind == "cross" else kind, node["name"]))
            for key, value in node.items():
                walk(value, str(key))

    walk(config.model.options, "model")
    walk(config.data.as_mapping(), "data")
    walk(config.objective.as_mapping(), "objective")
    return tuple(sorted(found | {("position", "none")}))


def _is_main() -> bool:
    """True in the process that writes files; Lightning's DDP starts the others with a ``LOCAL_RANK``."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("NODE_RANK", "0")) == 0

"""One training from a checked config to a result; the same config gives the same run, done once."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from zoo.checks import Refused
from zoo.config.checking import CheckedConfig, find_required_tokens, make_objective
from zoo.config.targets import CALLED, TARGETS, find_targets, find_value_problems, import_target, suggest_install
from zoo.data.prepare import Prepared, prepare
from zoo.hub.weight_transfer import begin, told
from zoo.model import build
from zoo.model.interfaces import Objective
from zoo.model.parts import part_from_config
from zoo.model.plan import ModelPlan
from zoo.model.variants.variant import Variant
from zoo.runs.claim import Claim, ClaimLost
from zoo.runs.run_folder import RunFolder
from zoo.system.files import Damaged
from zoo.training.job import Job
from zoo.training.provenance import (
    code_fingerprint,
    components_fingerprint,
    git_revision,
    hardware,
    hub_fingerprint,
    packages_fingerprint,
    packages_of,
    versions,
)
from zoo.training.random_streams import stream
from zoo.training.source_packages import Traced

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.loggers import Logger

_log = logging.getLogger("zoo")
_LOOK = 1.0  # seconds between looks at a run that another process trains


def run_folder(checked: CheckedConfig) -> RunFolder:
    """Where the run of a config lies."""
    return RunFolder(Path(checked.config["runs"]) / checked.hash)


def standing(checked: CheckedConfig) -> str:
    """What became of the run of a config: the state of its folder, damaged, or stale if other code made its result."""
    return run_folder(checked).compare(lambda: fingerprints(checked.config))


def find_result(checked: CheckedConfig, data: str) -> dict[str, Any] | None:
    """The result of a config if today's code and data made it, without making anything of the config.

    What a process left beside it that was killed after it wrote the result is removed.

    Args:
        checked: free of problems.
        data: fingerprint of the data today, see :func:`data_fingerprint`.
    """
    folder = run_folder(checked)
    found = _done(folder, {"fingerprints": {"data": data, **fingerprints(checked.config)}})
    if found is not None:
        _clear(folder)
    return found


def data_fingerprint(config: Mapping[str, Any]) -> str:
    """Of the tokenized data of a checked config; they are prepared if they are not yet."""
    return prepare_data(config).fingerprint


def train(checked: CheckedConfig, *, wait: bool = True) -> dict[str, Any]:
    """Train, or return the result that is there already; an interrupted run goes on from its last checkpoint.

    Args:
        checked: the config; must be free of problems.
        wait: for the result of another process that trains the same run; else nothing is returned at once.
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
    if _is_main() and (done := _done(folder, facts)) is not None:
        _clear(folder)
        return done
    made = _made(checked, prepared)
    job = Job(config, folder, prepared, *made, {**facts, **told(made[1])})
    if not _is_main():
        return fit(job, None)
    claim = Claim(folder.path)
    if not _taken(claim, wait):
        return {}
    with claim:
        if (done := _done(folder, facts)) is None:
            return _trained(job, claim)
        folder.clear()
        return done


def _clear(folder: RunFolder) -> None:
    """Remove what a process left that was killed after it wrote the result; one that is alive does so itself."""
    claim = Claim(folder.path)
    with contextlib.suppress(OSError):  # a result can be read where nothing can be written
        if claim.has_leftovers() and claim.take() is None:
            with claim:
                folder.clear()


def _taken(claim: Claim, wait: bool) -> bool:
    """Claim the run, or leave it to the process that has it; its result ends the waiting, and so does its end."""
    told = None
    while (other := claim.take()) is not None:
        if other != told:
            _log.info("%s is trained by %s: %s", claim.folder, other, "waiting for it" if wait else "left to it")
            told = other
        if not wait:
            return False
        time.sleep(_LOOK)
    return True


def _trained(job: Job, claim: Claim) -> dict[str, Any]:
    """Train what is not done, with the folder made ready for it."""
    _set_aside(job.folder, job.facts)
    job.folder.record_start({key: value for key, value in job.config.items() if key != "label"}, dict(job.facts))
    try:
        return fit(job, claim)
    except ClaimLost:
        raise
    except Exception as error:
        job.folder.record_failure(error)
        raise


def fit(job: Job, claim: Claim | None) -> dict[str, Any]:
    """As :func:`zoo.training.fit.fit`; Lightning is imported here, for what looks at runs does not need it."""
    from zoo.training.fit import fit as fit_with_lightning

    return fit_with_lightning(job, claim)


def _made(
    checked: CheckedConfig, prepared: Prepared
) -> tuple[ModelPlan, Variant, Objective, list[Logger], list[Callback]]:
    """What a job needs and what can still be refused: model, objective, further loggers and callbacks."""
    config = checked.config
    if checked.plan is None:
        raise Refused("model: must be given")
    if problems := [
        line for section in CALLED for line in find_value_problems(section, config[section], training=True)
    ]:
        raise Refused("\n".join(problems))
    from zoo.training.preflight import assemble_in_memory, require_trainer

    require_trainer(config)
    with torch.random.fork_rng():
        torch.manual_seed(stream(config["seed"], "weights"))
        model = assemble_in_memory(checked.plan, prepared.vocabulary.size)
        if "path" in config["model"]:
            begin(model, config["model"]["path"], config["model"]["sha256"])
        objective = make_objective(config, prepared.vocabulary)
        model.initialization.initialize_readouts(objective)
    objective.longest(config["data"]["length"])  # a published tokenizer may have too few sentinels of its own
    loggers = [_made_target("logger", name, item) for name, item in config["logger"].items()]
    callbacks = [_made_target("callbacks", name, item) for name, item in config["callbacks"].items()]
    return checked.plan, model, objective, loggers, callbacks


def _made_target(section: str, name: str, item: Mapping[str, Any]) -> Any:
    try:
        return import_target(item)()
    except ImportError as error:  # what it needs is not installed
        why = str(error).splitlines()[0]
        raise Refused(f"{section}.{name}: {item['_target_']} cannot be made: {why}{suggest_install(name)}") from error


def prepare_data(config: Mapping[str, Any]) -> Prepared:
    """The data of a checked config, tokenized with the special tokens that its objective needs."""
    data, required = config["data"], find_required_tokens(config)
    source: Any = build.make(part_from_config("data", data, "data"))
    tokenizer: Any = build.make(part_from_config("tokenizer", data["tokenizer"], "data.tokenizer"))
    return prepare(source, tokenizer, data["length"], Path(config["cache"]).expanduser(), required)


def _done(folder: RunFolder, facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """The result that is there, if this code and these data made it, and the model that belongs to it is whole."""
    try:
        folder.require_readable()
    except Damaged:  # which is said when the run is claimed and set aside
        return None
    result = folder.read("result.json")
    if result is None or _changed(result, facts) is not None:
        return None
    _log.info("%s is there already: not trained again", folder.path)
    return result


def _set_aside(folder: RunFolder, facts: Mapping[str, Any]) -> None:
    """Put what was made by other code or from other data, or what is damaged, out of the way."""
    try:
        folder.require_readable()
    except Damaged as error:
        _log.warning("%s: set aside as %s, and trained again", error, folder.set_aside("damaged"))
        return
    before = folder.read("result.json") or folder.read("started.json")
    if before is not None and (what := _changed(before, facts)) is not None:
        _log.info("%s was made with other %s: set aside as %s", folder.path, what, folder.set_aside(what))


def _changed(before: Mapping[str, Any], facts: Mapping[str, Any]) -> str | None:
    """The first fingerprint that is another."""
    pairs = facts["fingerprints"].items()
    return next((what for what, new in pairs if before.get("fingerprints", {}).get(what) != new), None)


def _facts(config: Mapping[str, Any], prepared: Prepared) -> dict[str, Any]:
    return {
        "fingerprints": {"data": prepared.fingerprint, **fingerprints(config)},
        "versions": versions(),
        "packages": {package.name: str(package) for package in _packages(config).packages},
        "hardware": hardware(),
        "git": git_revision(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def fingerprints(config: Mapping[str, Any]) -> dict[str, str]:
    """Returns those of the code that a run's numbers depend on: sources, packages, and the hub if it begins there."""
    imported = _packages(config)
    found = {"code": code_fingerprint(), "components": components_fingerprint(_components(config), imported.zoo)}
    if imported.packages:
        found["packages"] = packages_fingerprint(imported.packages)
    return {**found, "hub": hub_fingerprint()} if "path" in config["model"] else found


def _packages(config: Mapping[str, Any]) -> Traced:
    """What a run imports besides zoo; loggers change no number."""
    targets = find_targets({key: config[key] for key in (*TARGETS, "callbacks")})
    return packages_of(_components(config), (str(target) for _, target in targets))


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


def _is_main() -> bool:
    """Whether this is the process that writes: Lightning's DDP starts the others with a LOCAL_RANK."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("NODE_RANK", "0")) == 0

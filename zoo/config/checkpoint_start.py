"""A training that begins at a checkpoint: ``model=hub model.path=FOLDER``, and what is written over its config."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.checks import Refused
from zoo.components.tokenizer.file import TokenizerFile
from zoo.data.interfaces import Vocabulary
from zoo.data.special import Required
from zoo.data.text_files import content_digest
from zoo.data.tokenizer_files import READABLE, find_tokenizer, marked_special, read_tokenizer
from zoo.hub.checkpoint_folder import describe, without_checkpoint
from zoo.hub.companion_files import special_ids
from zoo.hub.task_heads import KeptHead
from zoo.hub.tensor_files import INDEX, ONE
from zoo.model.schema import carry_options

_UNSAID = (None, "", "???")
_ANY = {"name": "bytes"}
"""A tokenizer in place of one that nobody will ask."""


@dataclass(frozen=True)
class Start:
    """Configs of model and data as they are meant.

    Attributes:
        model: without what it begins at.
        data: with the tokenizer of the checkpoint where no file was chosen.
        keys: what the checked config of the model says of the checkpoint; nothing where it begins at none.
        task: the task head of the checkpoint, which is no part of the model.
        failed: whether the checkpoint could not be read, so that what else the model lacks is not the user's problem.
    """

    model: dict[str, Any]
    data: Any
    keys: Mapping[str, str] = field(default_factory=dict)
    failed: bool = False
    task: KeptHead | None = None


def start_of(
    model: Mapping[str, Any],
    data: Any,
    problems: list[str],
    required: Callable[[Mapping[str, Any], Any], Required],
) -> Start:
    """What is meant by the config of a model with a ``path``, and by that of its data; any other is as it is.

    The model is that of the checkpoint with everything else that is written laid over it. A config that says by
    ``sha256`` what the checkpoint holds was made here before, as that in a run's ``config.yaml``: it is complete.

    Args:
        model: what was written.
        data: the same of the data.
        problems: one line is appended for each.
        required: special tokens that the objective needs, of configs of model and data.
    """
    if "path" not in model:
        return Start(dict(model), data)
    found: list[str] = []
    folder, known = _folder(model, found), model.get("sha256")
    if folder is None:
        return _failed(model, data, problems, found)
    try:
        held, config = content(folder), without_checkpoint(model)
        if known is not None and known != held:
            found.append(f"model.sha256: {folder} holds another checkpoint now: got {held}, not {known}")
        elif known is None:
            described = describe(folder)
            if described.quantization is not None:
                described.quantization.require_readable()
            config = laid_over(described.plan.config, config)
            data, size = _tokenized(data, folder, found, lambda data: required(config, data))
            if size > config["vocabulary"] and "vocabulary" not in model:
                config["vocabulary"] = size
    except Refused as error:
        return _failed(model, data, problems, [f"model.path: {line}" for line in str(error).splitlines()])
    problems += found
    return Start(config, data, {"path": str(folder), "sha256": held})


def start_without_weights(model: Mapping[str, Any], data: Any, problems: list[str]) -> Start:
    """The same from the checkpoint's ``config.json`` alone; its tokenizer is not asked for either."""
    if "path" not in model:
        return Start(dict(model), data)
    found: list[str] = []
    folder = _folder(model, found)
    if folder is None:
        return _failed(model, data, problems, found)
    try:
        described = describe(folder)
    except Refused as error:
        return _failed(model, data, problems, [f"model.path: {line}" for line in str(error).splitlines()])
    config = laid_over(described.plan.config, without_checkpoint(model))
    return Start(config, _replaced(data, _ANY), {"path": str(folder)}, task=described.task)


def suggest_head(model: Mapping[str, Any]) -> str:
    """The override that gives a model without a head the one that its published family has, so that it can be exported.

    Args:
        model: its checked config; ``path`` names the checkpoint that it begins at, if any.
    """
    head = describe(model["path"]).published_head if "path" in model else {}
    values = {"tied": True, **head}
    return f"'model.head={{{', '.join(f'{key}: {_spell(value)}' for key, value in values.items())}}}'"


def _spell(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _failed(model: Mapping[str, Any], data: Any, problems: list[str], found: list[str]) -> Start:
    problems += found
    return Start(without_checkpoint(model), _replaced(data, _ANY), failed=True)


def _folder(model: Mapping[str, Any], problems: list[str]) -> Path | None:
    path = model["path"]
    if not isinstance(path, str) or path in _UNSAID:
        problems.append(f"model.path: must be given, the folder of a checkpoint: got {path!r}")
        return None
    return Path(path)


def laid_over(base: Mapping[str, Any], over: Mapping[str, Any], key: str = "") -> dict[str, Any]:
    """``over`` written over ``base``: mappings are merged, and of a part with another name what both parts have."""
    if over.get("name", base.get("name")) != base.get("name"):
        base = carry_options("attention" if key == "cross" else key, base, str(over["name"]))
    merged = dict(base)
    for key, value in over.items():
        old = base.get(key)
        merged[key] = laid_over(old, value, key) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _tokenized(data: Any, folder: Path, problems: list[str], required: Callable[[Any], Required]) -> tuple[Any, int]:
    """Data with the checkpoint's tokenizer, unless another was chosen, and how many tokens it has.

    Special tokens that the file lacks come behind its own, for which the model then needs room.
    """
    file = find_tokenizer(folder)
    if _replaced(data, _ANY) is data:
        return data, 0
    if file is None:
        problems.append(f"data.tokenizer: {folder} has no {READABLE}: choose a tokenizer, as by data/tokenizer=bytes")
        return _replaced(data, _ANY), 0
    spellings = _spell_special(folder, file)
    maker = TokenizerFile(path=str(file), **spellings)
    try:
        data = _replaced(data, {"path": str(file), **spellings})
        built = maker.build((), required(data))
        return data, Vocabulary.of(built, maker.special(built)).size
    except Refused:
        return data, 0  # which is told where the data are checked


def _spell_special(folder: Path, file: Path) -> dict[str, str]:
    """How the tokenizer spells the special tokens whose ids the checkpoint says, by role; an ordinary token is none."""
    try:
        built = read_tokenizer(file)
    except Refused:
        return {}
    named = {role: built.id_to_token(ids[0]) for role, ids in special_ids(folder).items()}
    return {role: name for role, name in named.items() if name is not None and name in marked_special(built)}


def _replaced(data: Any, tokenizer: Mapping[str, Any]) -> Any:
    """The same data if a tokenizer was chosen; a file of which no path is given is none."""
    given = data.get("tokenizer") if isinstance(data, Mapping) else None
    if not isinstance(given, Mapping) or given.get("name") != "file" or given.get("path") is not None:
        return data
    chosen = {key: value for key, value in given.items() if value is not None}
    return {**data, "tokenizer": {**tokenizer, **chosen} if "path" in tokenizer else dict(tokenizer)}


# ------------------------------------------------------------------------------------------------------- its content


def content(folder: Path) -> str:
    """sha256 over config.json and all files with weights: equal if and only if the checkpoints are.

    Raises:
        Refused: if there is no config or no weights.
    """
    files = [folder / "config.json", *sorted({*folder.glob("*.safetensors"), *folder.glob(INDEX)})]
    if not files[0].is_file():
        raise Refused(f"{files[0]} is not there")
    if len(files) < 2:
        raise Refused(f"{folder} has no checkpoint: there is neither {ONE} nor {INDEX}")
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {content_digest(file)}\n".encode())
    return digest.hexdigest()

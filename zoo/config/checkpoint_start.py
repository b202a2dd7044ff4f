"""Training from a checkpoint: resolves ``model=hub model.path=FOLDER`` to configs of model and data."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.checks import Refused
from zoo.components.tokenizer.file import TokenizerFile
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.data.text_files import digest_file
from zoo.data.tokenizer_files import READABLE_FILES, find_tokenizer, get_special_tokens, read_tokenizer
from zoo.hub.companion_files import read_special_ids
from zoo.hub.load_checkpoint import describe, remove_checkpoint_keys
from zoo.hub.task_heads import KeptHead
from zoo.hub.tensor_files import INDEX_FILE, SINGLE_FILE
from zoo.model.schema import carry_options
from zoo.runs.config_sections import ModelConfig

_UNSAID = (None, "", "???")
_ANY = {"name": "bytes"}
"""Placeholder where the tokenizer is not used."""


@dataclass(frozen=True)
class Start:
    """Configs of model and data after a checkpoint is resolved.

    Attributes:
        model: config of the model, without the keys that name the checkpoint.
        data: config of the data, with the tokenizer of the checkpoint unless another one was chosen.
        keys: keys that name the checkpoint; empty for training from scratch.
        task: task head of the checkpoint, which is not a part of the model.
        failed: whether the checkpoint could not be read; problems of the incomplete model are then not reported.
    """

    model: dict[str, Any]
    data: Any
    keys: Mapping[str, str] = field(default_factory=dict)
    failed: bool = False
    task: KeptHead | None = None


def resolve_checkpoint(
    model: Mapping[str, Any],
    data: Any,
    problems: list[str],
    required: Callable[[Mapping[str, Any], Any], Required],
) -> Start:
    """Resolves the config of a model with a ``path`` by reading its checkpoint; returns any other config unchanged.

    The given options are merged over those of the checkpoint. A config with ``sha256`` was resolved before, as in the
    ``config.yaml`` of a run, and is complete.

    Args:
        model: given config of the model.
        data: given config of the data.
        problems: list to which messages are appended.
        required: returns the special tokens that the objective needs, from configs of model and data.
    """
    if "path" not in model:
        return Start(dict(model), data)
    found: list[str] = []
    folder, known = _find_folder(model, found), model.get("sha256")
    if folder is None:
        return _refuse(model, data, problems, found)
    try:
        held, config = digest_checkpoint(folder), remove_checkpoint_keys(model)
        if known is not None and known != held:
            found.append(f"model.sha256: {folder} holds another checkpoint now: got {held}, not {known}")
        elif known is None:
            described = describe(folder)
            if described.quantization is not None:
                described.quantization.require_readable()
            config = merge_configs(described.plan.config, config)
            data, size = _use_tokenizer(data, folder, found, lambda data: required(config, data))
            if size > config["vocabulary"] and "vocabulary" not in model:
                config["vocabulary"] = size
    except Refused as error:
        return _refuse(model, data, problems, [f"model.path: {line}" for line in str(error).splitlines()])
    problems += found
    return Start(config, data, {"path": str(folder), "sha256": held})


def resolve_checkpoint_config(model: Mapping[str, Any], data: Any, problems: list[str]) -> Start:
    """Resolves the config of a model from the ``config.json`` of its checkpoint; reads no weights and no tokenizer."""
    if "path" not in model:
        return Start(dict(model), data)
    found: list[str] = []
    folder = _find_folder(model, found)
    if folder is None:
        return _refuse(model, data, problems, found)
    try:
        described = describe(folder)
    except Refused as error:
        return _refuse(model, data, problems, [f"model.path: {line}" for line in str(error).splitlines()])
    config = merge_configs(described.plan.config, remove_checkpoint_keys(model))
    return Start(config, _replace_tokenizer(data, _ANY), {"path": str(folder)}, task=described.task)


def suggest_head(model: ModelConfig) -> str:
    """Suggests the override that adds the head of the published family, so that the model can be exported."""
    head = {} if model.checkpoint is None else describe(model.checkpoint.path).published_head
    values = {"tied": True, **head}
    return f"'model.head={{{', '.join(f'{key}: {_spell(value)}' for key, value in values.items())}}}'"


def _spell(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _refuse(model: Mapping[str, Any], data: Any, problems: list[str], found: list[str]) -> Start:
    problems += found
    return Start(remove_checkpoint_keys(model), _replace_tokenizer(data, _ANY), failed=True)


def _find_folder(model: Mapping[str, Any], problems: list[str]) -> Path | None:
    path = model["path"]
    if not isinstance(path, str) or path in _UNSAID:
        problems.append(f"model.path: must be given as the folder of a checkpoint: got {path!r}")
        return None
    return Path(path)


def merge_configs(base: Mapping[str, Any], over: Mapping[str, Any], key: str = "") -> dict[str, Any]:
    """Merges ``over`` into ``base`` recursively; a component that replaces another keeps their common options.

    Args:
        base: config that is overridden.
        over: config with precedence.
        key: slot of the config, such as ``attention``; empty for a whole model.
    """
    if over.get("name", base.get("name")) != base.get("name"):
        base = carry_options("attention" if key == "cross" else key, base, str(over["name"]))
    merged = dict(base)
    for key, value in over.items():
        old = base.get(key)
        merged[key] = (
            merge_configs(old, value, key) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
        )
    return merged


def _use_tokenizer(
    data: Any, folder: Path, problems: list[str], required: Callable[[Any], Required]
) -> tuple[Any, int]:
    """Adds the tokenizer of the checkpoint to the data, unless another one was chosen, and returns its vocabulary size.

    Special tokens that the file lacks are appended, so that the embedding may have to grow.
    """
    file = find_tokenizer(folder)
    if _replace_tokenizer(data, _ANY) is data:
        return data, 0
    if file is None:
        problems.append(
            f"data.tokenizer: {folder} has no {READABLE_FILES}: choose a tokenizer, as by data/tokenizer=bytes"
        )
        return _replace_tokenizer(data, _ANY), 0
    spellings = _spell_special(folder, file)
    maker = TokenizerFile(path=str(file), **spellings)
    try:
        data = _replace_tokenizer(data, {"path": str(file), **spellings})
        built = maker.build((), required(data))
        return data, Vocabulary.from_tokenizer(built, maker.spell_special_tokens(built)).size
    except Refused:
        return data, 0  # reported where the data are checked


def _spell_special(folder: Path, file: Path) -> dict[str, str]:
    """Spells the special tokens by role, from their ids in the checkpoint; skips ordinary tokens."""
    try:
        built = read_tokenizer(file)
    except Refused:
        return {}
    named = {role: built.id_to_token(ids[0]) for role, ids in read_special_ids(folder).items()}
    return {role: name for role, name in named.items() if name is not None and name in get_special_tokens(built)}


def _replace_tokenizer(data: Any, tokenizer: Mapping[str, Any]) -> Any:
    """Replaces the tokenizer of the data, unless one was chosen; a file without a path is not a choice."""
    given = data.get("tokenizer") if isinstance(data, Mapping) else None
    if not isinstance(given, Mapping) or given.get("name") != "file" or given.get("path") is not None:
        return data
    chosen = {key: value for key, value in given.items() if value is not None}
    return {**data, "tokenizer": {**tokenizer, **chosen} if "path" in tokenizer else dict(tokenizer)}


# ------------------------------------------------------------------------------------------------------- its content


def digest_checkpoint(folder: Path) -> str:
    """Computes the SHA-256 of ``config.json`` and all weight files, which identifies a checkpoint.

    Raises:
        Refused: if there is no config, or no weights.
    """
    files = [folder / "config.json", *sorted({*folder.glob("*.safetensors"), *folder.glob(INDEX_FILE)})]
    if not files[0].is_file():
        raise Refused(f"{files[0]} is missing")
    if len(files) < 2:
        raise Refused(f"{folder} has no checkpoint: there is neither {SINGLE_FILE} nor {INDEX_FILE}")
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name} {digest_file(file)}\n".encode())
    return digest.hexdigest()

"""Companion files of a checkpoint, beside config and weights: tokenizer, generation config, pooling."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from zoo import limits
from zoo.checks import Refused
from zoo.data.special_tokens import ROLES
from zoo.system.input_files import parse_json, read_bytes, read_json

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "chat_template.jinja",
    "generation_config.json",
)
"""Files that depend on the tokenizer, and must not be copied to a model with another one."""
_MODULES = "modules.json"
_SENTENCE_FILES = (_MODULES, "sentence_bert_config.json", "config_sentence_transformers.json")
"""Files of sentence-transformers, which describe the processing of the hidden states."""


def read_companion_files(folder: Path) -> dict[str, bytes]:
    """Reads the companion files by name, including those in the folders that ``modules.json`` lists.

    Raises:
        Refused: if ``modules.json`` lists a folder outside, or a file is larger than a pooling or dense layer can be.
    """
    names = [name for name in (*TOKENIZER_FILES, *_SENTENCE_FILES) if (folder / name).is_file()]
    names += _find_module_files(folder)
    return {name: read_bytes(folder / name, limits.JSON_BYTES) for name in names}


def _find_module_files(folder: Path) -> Iterator[str]:
    file = folder / _MODULES
    if not file.is_file():
        return
    modules = parse_json(file)
    for module in modules if isinstance(modules, list) else ():
        path = module.get("path") if isinstance(module, Mapping) else None
        if not isinstance(path, str) or not path:  # the model itself is at the top of the folder
            continue
        inner = PurePosixPath(path)
        if inner.is_absolute() or ".." in inner.parts:
            raise Refused(f"{file}: path must be a folder inside the checkpoint: got {path!r}")
        for each in sorted((folder / inner).glob("*")):
            if each.is_file():
                yield str(inner / each.name)


def read_special_ids(folder: Path) -> dict[str, tuple[int, ...]]:
    """Reads the ids of special tokens by role from ``generation_config.json``, else from ``config.json``.

    A role may have several ids, as the end of a text does; roles that neither file has are left out. If there is no
    ``bos``, as in T5, it is the first token of the decoder.
    """
    file = folder / "generation_config.json"
    configs: list[Mapping[str, Any]] = [read_json(file)] if file.is_file() else []
    configs.append(read_json(folder / "config.json"))
    found = {role: _find_ids(configs, f"{role}_token_id") for role in ROLES}
    found["bos"] = found["bos"] or found["decoder_start"]
    return {role: ids for role, ids in found.items() if ids}


def _find_ids(configs: list[Mapping[str, Any]], key: str) -> tuple[int, ...]:
    for config in configs:
        value = config.get(key)
        many = value if isinstance(value, list) else [value]
        if ids := tuple(each for each in many if isinstance(each, int) and not isinstance(each, bool) and each >= 0):
            return ids
    return ()

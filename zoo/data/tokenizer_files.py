"""Tokenizers of published checkpoints: ``tokenizer.json``, or the older vocabulary files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors

from zoo.checks import Refused
from zoo.data.special_tokens import get_added_special_tokens
from zoo.data.text_files import read_nonempty_text
from zoo.system.input_files import read_json

READABLE_FILES = "tokenizer.json, vocab.txt, or vocab.json with merges.txt"
"""Files that :func:`find_tokenizer` looks for, for messages."""
_OWNER = "tokenizer file"
_WORDPIECE = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
_ROBERTA = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "cls_token": "<s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
}
_GPT2 = {"unk_token": "<|endoftext|>", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}
_BYTE_LEVEL = {"gpt2": _GPT2, "roberta": _ROBERTA, "bart": _ROBERTA}
"""Families with byte-level BPE in ``vocab.json`` and ``merges.txt``, with the spellings of their special tokens."""


def find_tokenizer(folder: Path) -> Path | None:
    """Returns the file of a checkpoint folder that :func:`read_tokenizer` reads; None if there is none."""
    if (file := folder / "tokenizer.json").is_file() or (file := folder / "vocab.txt").is_file():
        return file
    file = folder / "vocab.json"
    return file if file.is_file() and (folder / "merges.txt").is_file() else None


def read_tokenizer(path: Path) -> tokenizers.Tokenizer:
    """Reads a tokenizer from its file and the companion files in the same folder.

    Args:
        path: a ``tokenizer.json`` under any name; a ``vocab.txt``, the WordPiece vocabulary of BERT; or a
            ``vocab.json`` with ``merges.txt`` beside it, of GPT-2, RoBERTa or BART. Lower-casing and spellings of
            special tokens come from ``tokenizer_config.json`` and ``special_tokens_map.json``, if these exist.

    Raises:
        Refused: if a file is missing, is not UTF-8, or has another format.
    """
    text = read_nonempty_text(_OWNER, path)
    try:
        if path.name == "vocab.txt":
            return _build_wordpiece(path, text)
        if path.name == "vocab.json":
            return _build_byte_level(path, text)
        return tokenizers.Tokenizer.from_str(text)
    except Refused:
        raise
    except Exception as error:  # the package raises bare Exception
        name = path.name if path.name in ("vocab.txt", "vocab.json") else "tokenizer.json"
        raise Refused(f"{_OWNER}: {path} is not a valid {name}: {error}") from None


def get_special_tokens(built: tokenizers.Tokenizer) -> Set[str]:
    """Returns the tokens marked as special; others may only look so: ``<s>`` is an ordinary token of Qwen."""
    added, unknown = get_added_special_tokens(built), getattr(built.model, "unk_token", None)
    return added if unknown is None else added | {str(unknown)}


def _build_wordpiece(path: Path, text: str) -> tokenizers.Tokenizer:
    """Builds a WordPiece tokenizer (Devlin et al. 2018), lower-casing unless the config says otherwise."""
    config = _read_mapping(path.with_name("tokenizer_config.json"))
    names = _read_spellings(path, config, _WORDPIECE)
    vocabulary = {token: number for number, token in enumerate(text.removesuffix("\n").split("\n"))}
    built = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=names["unk_token"]))
    built.normalizer = normalizers.BertNormalizer(
        handle_chinese_chars=config.get("tokenize_chinese_chars", True),
        strip_accents=config.get("strip_accents"),
        lowercase=config.get("do_lower_case", True),
    )
    built.pre_tokenizer, built.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
    special = _add_special(built, path, names)
    first, last = special["cls_token"], special["sep_token"]
    built.post_processor = processors.TemplateProcessing(
        single=[first[0], "$A", last[0]],
        pair=[first[0], "$A", last[0], "$B:1", f"{last[0]}:1"],
        special_tokens=[first, last],
    )
    return built


def _build_byte_level(path: Path, text: str) -> tokenizers.Tokenizer:
    """Builds a byte-level BPE tokenizer (Radford et al. 2019)."""
    family = _read_mapping(path.with_name("config.json")).get("model_type")
    if family not in _BYTE_LEVEL:
        known = ", ".join(_BYTE_LEVEL)
        raise Refused(
            f"{_OWNER}: vocab.json and merges.txt can only be read for {known}: got model_type {family!r} in "
            f"{path.parent}; transformers.AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER) writes a "
            "tokenizer.json"
        )
    config = _read_mapping(path.with_name("tokenizer_config.json"))
    names, space = _read_spellings(path, config, _BYTE_LEVEL[family]), bool(config.get("add_prefix_space", False))
    lines = read_nonempty_text(_OWNER, path.with_name("merges.txt")).splitlines()
    merges = [(one, two) for one, two in (line.split(" ") for line in lines if line and line[:8] != "#version")]
    built = tokenizers.Tokenizer(models.BPE(json.loads(text), merges))
    built.pre_tokenizer, built.decoder = pre_tokenizers.ByteLevel(add_prefix_space=space), decoders.ByteLevel()
    special = _add_special(built, path, names)
    if family != "gpt2":
        last, first = special["sep_token"], special["cls_token"]
        built.post_processor = processors.RobertaProcessing(last, first, add_prefix_space=space)
    return built


def _add_special(built: tokenizers.Tokenizer, path: Path, names: Mapping[str, str]) -> dict[str, tuple[str, int]]:
    """Registers the special tokens, which the vocabulary must contain; returns spelling and id by role."""
    ids = built.get_vocab()
    missing = [f"{role}={name}" for role, name in names.items() if name not in ids]
    if missing:
        raise Refused(f"{_OWNER}: {path} must contain all special tokens: it lacks {', '.join(missing)}")
    built.add_special_tokens(
        [AddedToken(name, special=True, normalized=False) for name in dict.fromkeys(names.values())]
    )
    return {role: (name, ids[name]) for role, name in names.items()}


def _read_spellings(path: Path, config: Mapping[str, Any], default: Mapping[str, str]) -> dict[str, str]:
    """Reads spellings from ``special_tokens_map.json``, else ``tokenizer_config.json``, else takes the family's."""
    given = {**config, **_read_mapping(path.with_name("special_tokens_map.json"))}
    found = {}
    for role, name in default.items():
        value = given.get(role)
        found[role] = str((value.get("content") if isinstance(value, Mapping) else value) or name)
    return found


def _read_mapping(file: Path) -> Mapping[str, Any]:
    """Reads a JSON file beside the vocabulary; returns an empty mapping if there is none."""
    return read_json(file) if file.is_file() else {}

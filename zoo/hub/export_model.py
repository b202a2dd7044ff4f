"""Exports a trained model as a checkpoint folder, with its tokenizer and the ids of special tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers.processors import TemplateProcessing

from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import NO_TOKEN
from zoo.hub.companion_files import TOKENIZER_FILES
from zoo.hub.load_checkpoint import describe
from zoo.hub.origin import Origin
from zoo.hub.plan_difference import Difference, compare_plans
from zoo.hub.save_checkpoint import MAX_SHARD_BYTES, save
from zoo.hub.saved_model import RunSections, SavedModel
from zoo.registry import get_index

_IDS = ("pad", "bos", "eos", "sep", "mask", "unk")
_GENERATION = ("pad", "bos", "eos")
_TEMPLATES = {
    ("decoder", "documents"): ("bos", None),
    ("decoder", "pairs"): ("bos", "sep"),
    ("encoder", "documents"): ("bos", "eos"),
    ("encoder", "pairs"): ("bos", "sep"),
    ("encoder_decoder", "documents"): ("bos", "eos"),
    ("encoder_decoder", "pairs"): (None, "eos"),
}
"""Special tokens before and after a text, by variant of the model and form of its training data."""


@dataclass(frozen=True)
class ExportResult:
    """Result of an export.

    Attributes:
        family: name of the family that was written.
        files: size of each file in bytes, by name.
        dropped: options that the family cannot express; they matter only in training.
        has_prefix_objective: whether the model was trained with bidirectional attention to sources, which no published
            decoder has.
    """

    family: str
    files: Mapping[str, int]
    dropped: tuple[Difference, ...]
    has_prefix_objective: bool


def export_model(
    source: SavedModel, path: str | Path, *, family: str | None = None, shard: int = MAX_SHARD_BYTES
) -> ExportResult:
    """Exports a run, or converts a checkpoint, to a checkpoint folder.

    Args:
        source: the model to export.
        path: a folder that does not exist yet, or is empty.
        family: name of the family; None for the one that the model came from, else the first that fits.
        shard: maximum number of bytes of a file.
    Raises:
        Refused: if the model does not fit, with the reasons; or if the folder is not empty.
    """
    kept, files = ({}, {}) if source.run is None else _collect_additions(source, source.run)
    chosen = save(source.model, path, family=family, kept=kept, files=files, shard=shard)
    plan = source.model.plan
    dropped = () if plan is None else tuple(compare_plans(plan, describe(path).plan, training=True))
    sizes = {item.name: item.stat().st_size for item in sorted(Path(path).iterdir())}
    return ExportResult(chosen.name, sizes, dropped, _has_prefix_objective(source))


def _collect_additions(source: SavedModel, run: RunSections) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Collects the options of config.json and the files that a run adds to those of its initial checkpoint.

    A run with the tokenizer of that checkpoint adds only the tokens that its objective needs, if any: other special
    tokens, the maximum length and other files are unchanged.
    """
    origin, checkpoint = source.model.origin, run.model.checkpoint
    if checkpoint is None or not isinstance(origin, Origin):
        return _build_options(source, run), _build_files(source, run)
    if Path(run.data.tokenizer.options.get("path") or "").parent == Path(checkpoint.path):
        return _find_added_tokens(source, origin)
    beside = {name: content for name, content in origin.files.items() if name not in TOKENIZER_FILES}
    source.model.origin = replace(origin, files=beside)
    options = _build_options(source, run)
    del options["max_position_embeddings"]  # training on shorter rows does not shorten the context
    return options, _build_files(source, run)


def _find_added_tokens(source: SavedModel, origin: Origin) -> tuple[dict[str, Any], dict[str, bytes]]:
    built, before = source.tokenizer, origin.files.get("tokenizer.json")
    if built is None:
        return {}, {}
    known = {} if before is None else tokenizers.Tokenizer.from_buffer(before).get_vocab(with_added_tokens=True)
    if known == built.get_vocab(with_added_tokens=True):
        return {}, {}
    ids = {f"{role}_token_id": number for role, number in _get_special_ids(source.vocabulary).items()}
    added = {key: number for key, number in ids.items() if known and built.id_to_token(number) not in known}
    return added, {"tokenizer.json": (built.to_str(pretty=True) + "\n").encode()}


def _get_special_ids(vocabulary: Vocabulary) -> dict[str, int]:
    """Returns the ids of the special tokens that the vocabulary has, by role."""
    return {role: number for role in _IDS if (number := getattr(vocabulary, role)) != NO_TOKEN}


def _has_prefix_objective(source: SavedModel) -> bool:
    if source.run is None or source.model.name != "decoder":
        return False
    objective: Any = get_index().get("objective", source.run.objective.name).load()
    return "prefix" in objective.needs


def _build_options(source: SavedModel, run: RunSections) -> dict[str, Any]:
    """Returns the options of config.json for special tokens and for the length of the training rows."""
    ids = {f"{role}_token_id": number for role, number in _get_special_ids(source.vocabulary).items()}
    return {**ids, **_get_decoder_start(source), "max_position_embeddings": run.data.length}


def _get_decoder_start(source: SavedModel) -> dict[str, int]:
    variant = source.model.name
    return {"decoder_start_token_id": source.vocabulary.decoder_start} if variant == "encoder_decoder" else {}


def _build_files(source: SavedModel, run: RunSections) -> dict[str, bytes]:
    """Returns the tokenizer files and the generation config in the format of transformers."""
    vocabulary, built = source.vocabulary, source.tokenizer
    if built is None:
        return {}
    files = {
        "tokenizer.json": json.loads(_add_template(source, run, built).to_str(pretty=False)),
        "tokenizer_config.json": _build_tokenizer_config(source, run, built),
    }
    if source.model.reader.causal:
        ids = {f"{role}_token_id": getattr(vocabulary, role) for role in _GENERATION}
        files["generation_config.json"] = {**ids, **_get_decoder_start(source)}
    return {
        name: (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode() for name, content in files.items()
    }


def _add_template(source: SavedModel, run: RunSections, built: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """Returns the tokenizer with a template of special tokens as in training, unless it has its own template."""
    copy = tokenizers.Tokenizer.from_str(built.to_str())
    if copy.post_processor is None:
        data: Any = get_index().get("data", run.data.source.name).load()
        before, behind = _TEMPLATES[source.model.name, data.form]
        ids = asdict(source.vocabulary)
        special = {role: (copy.id_to_token(ids[role]), ids[role]) for role in (before, behind) if role is not None}
        around = [[special[role][0]] if role in special else [] for role in (before, behind)]
        template = [*around[0], "$A", *around[1]]
        copy.post_processor = TemplateProcessing(single=template, special_tokens=list(special.values()))
    return copy


def _build_tokenizer_config(source: SavedModel, run: RunSections, built: tokenizers.Tokenizer) -> dict[str, Any]:
    vocabulary: Vocabulary = source.vocabulary
    types = ["token_type_ids"] if source.model.embedding.types is not None else []
    spelled = {f"{role}_token": built.id_to_token(number) for role, number in _get_special_ids(vocabulary).items()}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **spelled,
        "cls_token": spelled["bos_token"],
        "additional_special_tokens": [built.id_to_token(token) for token in vocabulary.sentinels],
        "model_max_length": run.data.length,
        "model_input_names": ["input_ids", *types, "attention_mask"],
        "padding_side": "left" if source.model.name == "decoder" else "right",
        "clean_up_tokenization_spaces": False,
    }

"""Opens a run or a checkpoint as a model with its prompt template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers

from zoo.checks import Refused
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import NO_TOKEN
from zoo.data.tokenizer_files import READABLE_FILES
from zoo.generation.prompting import Prompting
from zoo.hub.saved_model import RunSections, SavedModel, load_saved_model
from zoo.model.variants.variant import Variant
from zoo.registry import get_index
from zoo.system.input_files import read_json


@dataclass(frozen=True)
class TrainedModel:
    """A trained model and its prompt template.

    Args:
        model: the model, in evaluation mode.
        prompting: template used in training, or described by the checkpoint.
    """

    model: Variant
    prompting: Prompting


def open_model(path: str | Path, *, pickled: bool = False) -> TrainedModel:
    """Opens a finished run or a checkpoint.

    Args:
        path: the folder.
        pickled: whether to accept a pickled checkpoint.
    Raises:
        Refused: if the folder is neither, has no tokenizer, or its objective trains no head.
    """
    found = load_saved_model(path, pickled=pickled)
    return TrainedModel(found.model, build_prompting(found))


def build_prompting(found: SavedModel) -> Prompting:
    """Returns how a model is prompted: as it was trained, or as its checkpoint says.

    Raises:
        Refused: if there is no tokenizer, or the model was not trained to predict tokens.
    """
    if found.tokenizer is None:
        raise Refused(f"{found.folder} has no {READABLE_FILES}, which a prompt needs")
    tokenizer = tokenizers.Tokenizer.from_str(found.tokenizer.to_str())  # a copy that parses special tokens in a text
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if found.run is None:
        return _build_checkpoint_prompting(found, tokenizer)
    return _build_run_prompting(found, found.run, tokenizer)


# ------------------------------------------------------------------------------------------------------ checkpoints


def _build_checkpoint_prompting(found: SavedModel, tokenizer: tokenizers.Tokenizer) -> Prompting:
    """Builds the template from the tokenizer's own post-processor and ``generation_config.json``."""
    file = found.folder / "generation_config.json"
    further = read_json(file) if file.is_file() else {}
    start: tuple[int, ...] = ()
    if found.model.name == "encoder_decoder":
        start = _find_start(found, further)
    mask = found.vocabulary.mask
    return Prompting(
        tokenizer,
        frozenset(found.end_ids),
        start=start,
        mask=None if mask == NO_TOKEN else mask,
        shown=frozenset(found.vocabulary.sentinels),
    )


def _find_start(found: SavedModel, further: Mapping[str, Any]) -> tuple[int, ...]:
    """Finds the start token of the decoder, followed by the forced first token, if there is one."""
    said = [further.get(name, found.config.get(name)) for name in ("decoder_start_token_id", "forced_bos_token_id")]
    first = said[0] if said[0] is not None else found.vocabulary.decoder_start
    if not isinstance(first, int) or first < 0:
        raise Refused(f"{found.folder}: decoder_start_token_id must be a token: got {first}")
    return (first,) if said[1] is None else (first, int(said[1]))


# -------------------------------------------------------------------------------------------------------------- runs


def _build_run_prompting(found: SavedModel, run: RunSections, tokenizer: tokenizers.Tokenizer) -> Prompting:
    """Builds the template that the objective used in training."""
    name, vocabulary = run.objective.name, found.vocabulary
    objective: Any = get_index().get("objective", name).load()
    data: Any = get_index().get("data", run.data.source.name).load()
    if not objective.uses_head:
        raise Refused(f"{found.folder} was trained on {name}, which trains no head, so it predicts no tokens")
    around = _describe_pair_prompt if data.form == "pairs" else _describe_document_prompt
    return Prompting(
        tokenizer,
        frozenset(found.end_ids),
        own_rules=False,
        mask=None if vocabulary.mask == NO_TOKEN else vocabulary.mask,
        shown=frozenset(vocabulary.sentinels),
        **around(found.model.name, name, vocabulary),
    )


def _describe_pair_prompt(variant: str, objective: str, vocabulary: Vocabulary) -> dict[str, Any]:
    """Describes prompts of pairs: ``bos source sep`` for a decoder, ``source eos`` for an encoder-decoder."""
    bos, sep, eos, start = (vocabulary.bos,), (vocabulary.sep,), (vocabulary.eos,), (vocabulary.decoder_start,)
    if variant == "encoder_decoder":
        return {"after": eos, "start": start}
    if variant == "encoder":
        return {"before": bos}
    return {"before": bos, "after": sep, "both_ways": objective == "prefix_lm", "answers": True}


def _describe_document_prompt(variant: str, objective: str, vocabulary: Vocabulary) -> dict[str, Any]:
    """Describes prompts of documents: a decoder continues ``bos text``; denoising objectives read it to its end."""
    bos, sep, eos, start = (vocabulary.bos,), (vocabulary.sep,), (vocabulary.eos,), (vocabulary.decoder_start,)
    if objective == "infilling":
        raise Refused(
            "a run of objective=infilling cannot be prompted: it predicts at positions that a prompt does not give"
        )
    if objective in ("span_corruption", "ul2"):
        after = eos if variant == "encoder_decoder" else (*eos, *sep)
        return {"before": bos, "after": after, "start": start, "answers": True}
    if variant == "encoder":
        return {"before": bos, "after": eos}
    if objective == "prefix_lm":
        return {"before": bos, "start": None, "both_ways": True}
    return {"before": bos, "start": start}

"""A run's folder or a checkpoint, as a model and the way in which it is prompted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers

from zoo.checks import Refused
from zoo.data.interfaces import Vocabulary
from zoo.data.special import NOWHERE
from zoo.data.tokenizer_files import READABLE
from zoo.generation.prompting import Prompting
from zoo.hub.saved import Saved, saved
from zoo.model.variants.variant import Variant
from zoo.registry import index
from zoo.system.input_files import read_json


@dataclass(frozen=True)
class Source:
    """What a folder holds.

    Args:
        model: in evaluation mode.
        prompting: as the model was trained, or as its checkpoint says.
    """

    model: Variant
    prompting: Prompting


def open_source(path: str | Path, *, pickled: bool = False) -> Source:
    """The model of a finished run or of a checkpoint, and how it is prompted.

    Args:
        path: the folder.
        pickled: whether a checkpoint may be a pickled one.
    Raises:
        Refused: if it is neither, has no tokenizer, or was not trained to say something of tokens.
    """
    found = saved(path, pickled=pickled)
    if found.tokenizer is None:
        raise Refused(f"{path} has no {READABLE}, which a prompt needs")
    tokenizer = tokenizers.Tokenizer.from_str(found.tokenizer.to_str())  # one that knows special tokens in a text
    tokenizer.no_truncation()
    tokenizer.no_padding()
    prompting = _of_run(found, tokenizer) if found.run else _of_checkpoint(found, tokenizer)
    return Source(found.model, prompting)


# ------------------------------------------------------------------------------------------------------ checkpoints


def _of_checkpoint(found: Saved, tokenizer: tokenizers.Tokenizer) -> Prompting:
    """The tokenizer's own rules say what stands around a prompt, generation_config.json what a decoder begins with."""
    file = found.folder / "generation_config.json"
    further = read_json(file) if file.is_file() else {}
    start: tuple[int, ...] = ()
    if found.model.name == "encoder_decoder":
        start = _start(found, further)
    mask = found.vocabulary.mask
    return Prompting(
        tokenizer,
        frozenset(found.ends),
        start=start,
        mask=None if mask == NOWHERE else mask,
        shown=frozenset(found.vocabulary.sentinels),
    )


def _start(found: Saved, further: Mapping[str, Any]) -> tuple[int, ...]:
    """What the decoder begins with, and the token that must come first, where there is one."""
    said = [further.get(name, found.config.get(name)) for name in ("decoder_start_token_id", "forced_bos_token_id")]
    first = said[0] if said[0] is not None else found.vocabulary.bos
    if not isinstance(first, int) or first < 0:
        raise Refused(f"{found.folder}: decoder_start_token_id must be the token a decoder begins with: got {first}")
    return (first,) if said[1] is None else (first, int(said[1]))


# -------------------------------------------------------------------------------------------------------------- runs


def _of_run(found: Saved, tokenizer: tokenizers.Tokenizer) -> Prompting:
    """What stands around a prompt is what stood there in training."""
    name, vocabulary = str(found.config["objective"]["name"]), found.vocabulary
    objective: Any = index().get("objective", name).load()
    data: Any = index().get("data", str(found.config["data"]["name"])).load()
    if not objective.uses_head:
        raise Refused(f"{found.folder} was trained on {name}, which trains no head: it says nothing of tokens")
    around = _pairs if data.form == "pairs" else _documents
    return Prompting(
        tokenizer,
        frozenset(found.ends),
        own_rules=False,
        mask=None if vocabulary.mask == NOWHERE else vocabulary.mask,
        shown=frozenset(vocabulary.sentinels),
        **around(found.model.name, name, vocabulary),
    )


def _pairs(variant: str, objective: str, vocabulary: Vocabulary) -> dict[str, Any]:
    """A decoder reads ``bos source sep``, an encoder-decoder ``source eos``; of an encoder's target the masks are."""
    bos, sep, eos = (vocabulary.bos,), (vocabulary.sep,), (vocabulary.eos,)
    if variant == "encoder_decoder":
        return {"after": eos, "start": bos}
    if variant == "encoder":
        return {"before": bos}
    return {"before": bos, "after": sep, "both_ways": objective == "prefix_lm", "answers": True}


def _documents(variant: str, objective: str, vocabulary: Vocabulary) -> dict[str, Any]:
    """A decoder goes on from ``bos text``; where spans were taken out of documents, it reads a whole one first."""
    bos, sep, eos = (vocabulary.bos,), (vocabulary.sep,), (vocabulary.eos,)
    if objective == "infilling":
        raise Refused(
            "a run of objective=infilling writes at positions that a prompt does not tell: it is not prompted"
        )
    if objective in ("span_corruption", "ul2"):
        after = eos if variant == "encoder_decoder" else (*eos, *sep)
        return {"before": bos, "after": after, "start": bos, "answers": True}
    if variant == "encoder":
        return {"before": bos, "after": eos}
    if objective == "prefix_lm":
        return {"before": bos, "start": None, "both_ways": True}
    return {"before": bos, "start": bos}

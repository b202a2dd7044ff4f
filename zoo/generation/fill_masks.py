"""Filling of masks: what an encoder finds likely where a token is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from zoo.checks import Refused, require_positive
from zoo.generation.prompting import Prompting
from zoo.model.variants.encoder import Encoder
from zoo.model.variants.variant import Variant


@dataclass(frozen=True)
class Candidate:
    """A token for a mask, and its probability."""

    token: str
    probability: float


@dataclass(frozen=True)
class Filled:
    """A text without masks.

    Args:
        text: the likeliest token in the place of each mask, each chosen without regard to the others.
        masks: the likeliest tokens for each mask, the likeliest first.
    """

    text: str
    masks: tuple[tuple[Candidate, ...], ...]


@torch.no_grad()
def fill(model: Variant, prompting: Prompting, prompts: Sequence[str], *, candidates: int = 5) -> list[Filled]:
    """Fill the masks of texts.

    Args:
        model: an encoder with a head, in evaluation mode.
        prompting: makes tokens of texts and texts of tokens.
        prompts: texts in which the tokenizer's mask token is spelled (``<mask>``, ``[MASK]``), once or more.
        candidates: how many tokens to name for each mask.
    Raises:
        Refused: if the model is no encoder or has no head, or a text has no mask or is too long.
    """
    require_positive("candidates", candidates)
    if not isinstance(model, Encoder):
        raise Refused(f"only an encoder fills masks: the model is of variant {model.name}")
    if model.head is None:
        raise Refused("a model without a head (model.head=null) has hidden states and says nothing of tokens")
    if prompting.mask is None:
        raise Refused("the tokenizer has no mask token, so that there is nothing to fill")
    rows = [prompting.encode(prompt, model.vocabulary) for prompt in prompts]
    spelled = prompting.tokenizer.id_to_token(prompting.mask)
    for prompt, row in zip(prompts, rows, strict=True):
        if prompting.mask not in row:
            raise Refused(f"a prompt must have a mask where a token is asked for ({spelled}): got {prompt!r}")
        if model.limit is not None and len(row) > model.limit:
            raise Refused(f"the prompt is too long: the model has {model.limit} positions: got {len(row)} tokens")
    return [_filled(model, prompting, row, candidates) for row in rows]


def _filled(model: Encoder, prompting: Prompting, row: list[int], candidates: int) -> Filled:
    device = model.embedding.table.weight.device
    hidden = [place for place, token in enumerate(row) if token == prompting.mask]
    likely = model(torch.tensor([row], device=device))[0, hidden].double().softmax(dim=-1)
    size = min(candidates, prompting.tokenizer.get_vocab_size(with_added_tokens=True), likely.shape[-1])
    best, token = likely.topk(size, dim=-1)
    masks = []
    for place, tokens, values in zip(hidden, token.tolist(), best.tolist(), strict=True):
        row[place] = tokens[0]
        named = [prompting.tokenizer.id_to_token(each) or f"token {each}" for each in tokens]
        masks.append(tuple(Candidate(*each) for each in zip(named, values, strict=True)))
    return Filled(prompting.decode(row), tuple(masks))

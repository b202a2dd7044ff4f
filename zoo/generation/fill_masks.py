"""Mask filling: predictions of an encoder for masked tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from zoo.checks import Refused, require_positive
from zoo.generation.prompting import Prompting, require_positions
from zoo.model.variants.encoder import Encoder
from zoo.model.variants.variant import Variant


@dataclass(frozen=True)
class Candidate:
    """A predicted token and its probability."""

    token: str
    probability: float


@dataclass(frozen=True)
class FilledText:
    """A text whose masks are filled.

    Args:
        text: the text with the likeliest token at each mask, chosen independently of the other masks.
        masks: candidates for each mask, likeliest first.
    """

    text: str
    masks: tuple[tuple[Candidate, ...], ...]


@torch.no_grad()
def fill(model: Variant, prompting: Prompting, prompts: Sequence[str], *, candidates: int = 5) -> list[FilledText]:
    """Fills the masks of texts.

    Args:
        model: an encoder with a head, in evaluation mode.
        prompting: encodes prompts and decodes tokens.
        prompts: texts with at least one mask token, as the tokenizer spells it (``<mask>``, ``[MASK]``).
        candidates: number of tokens to return for each mask.
    Returns:
        a filled text for each prompt.
    Raises:
        Refused: if the model is not an encoder or has no head, or if a text has no mask or is too long.
    """
    require_positive("candidates", candidates)
    if not isinstance(model, Encoder):
        raise Refused(f"only an encoder can fill masks: the model is of variant {model.name}")
    if model.head is None:
        raise Refused("the model has no head (model.head=null), so it predicts no tokens")
    if prompting.mask is None:
        raise Refused("the tokenizer has no mask token, so there is nothing to fill")
    rows = [prompting.encode(prompt, model.vocabulary) for prompt in prompts]
    spelled = prompting.tokenizer.id_to_token(prompting.mask)
    for prompt, row in zip(prompts, rows, strict=True):
        if prompting.mask not in row:
            raise Refused(f"a prompt must have a mask for each token to predict ({spelled}): got {prompt!r}")
        require_positions(model.limit, len(row))
    return [_fill_row(model, prompting, row, candidates) for row in rows]


def _fill_row(model: Encoder, prompting: Prompting, row: list[int], candidates: int) -> FilledText:
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
    return FilledText(prompting.decode(row), tuple(masks))

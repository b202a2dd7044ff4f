"""Loss of a model on texts: of every next token, of masked tokens, or of the answer to a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.checks import Refused, require
from zoo.generation.greedy import pick_likeliest
from zoo.generation.loop import count_tokens_left, generate_steps
from zoo.generation.prompting import Prompting, pad_left, require_positions
from zoo.model.inputs import Inputs
from zoo.model.variants.encoder import Encoder
from zoo.model.variants.variant import Variant

MASKED_SHARE = 0.15
ANSWER_TOKENS = 16


@dataclass(frozen=True)
class TextBatch:
    """Texts with the tokens to predict.

    Args:
        inputs: what the model reads ``[batch, length]``.
        targets: token to predict at each place ``[batch, length]``; -1 where there is none.
        objective: ``next_token``, ``masked_token``, ``every_token`` or ``answer``; see :func:`build_text_batch`.
    """

    inputs: Inputs
    targets: Tensor
    objective: str


def build_text_batch(
    model: Variant,
    prompting: Prompting,
    texts: Sequence[str],
    answers: Sequence[str] | None = None,
    *,
    seed: int = 0,
) -> TextBatch:
    """Builds a batch whose loss is that of the way in which the model reads texts.

    A decoder predicts every next token of the texts. A decoder that reads prompts bidirectionally, and an
    encoder-decoder, predict the tokens of the answers after having read the texts. An encoder predicts the tokens
    behind masks at 15% of the places, at least one in each text; without a mask token it predicts all tokens, each
    at its own place.

    Args:
        model: in evaluation mode, with a head.
        prompting: encodes texts.
        texts: at least one text.
        answers: an answer to each text, after which the loss is that of the answers for a decoder too. None: where
            answers are needed, those that the model writes itself, greedily, up to 16 tokens.
        seed: seed of the masked places.
    Raises:
        Refused: if the model has no head, an encoder is given answers, or the texts leave nothing to predict.
    """
    if model.head is None:
        raise Refused("a loss needs a model with a head: got model.head=null")
    require(bool(texts), "texts: there must be at least one: got none")
    rows = [prompting.encode(text, model.vocabulary) for text in texts]
    if isinstance(model, Encoder):
        require(answers is None, "answers: an encoder answers no prompts: got answers")
        return _mask_rows(model, prompting, rows, seed)
    if answers is None and model.name == "decoder" and not prompting.both_ways:
        return _predict_next(model, rows)
    if answers is None:
        written = _write_answers(model, prompting, rows)
    else:
        require(len(answers) == len(rows), f"answers: must be one for each text: got {len(answers)} for {len(rows)}")
        written = [_encode(model, prompting, answer) for answer in answers]
    batch = _append_answers(prompting.build_inputs(model, rows), written)
    require_positions(model.reader.limit, batch.inputs.tokens.shape[1], "text")
    return batch


def compute_text_loss(model: Variant, batch: TextBatch) -> Tensor:
    """Computes the mean cross-entropy of the targets, in nats: a scalar."""
    logits = model.logits(model.compute_hidden(batch.inputs))
    return F.cross_entropy(logits.flatten(0, 1).float(), batch.targets.flatten(), ignore_index=-1)


def _predict_next(model: Variant, rows: Sequence[Sequence[int]]) -> TextBatch:
    if max(len(row) for row in rows) < 2:
        raise Refused("the text must have at least two tokens, since each predicts the next: got 1")
    tokens, segment = pad_left(rows, model.embedding.table.weight.device)
    require_positions(model.reader.limit, tokens.shape[1], "text")
    targets = F.pad(tokens[:, 1:], (0, 1), value=-1)
    return TextBatch(Inputs(tokens, segment), _hide_padding(targets, segment), "next_token")


def _mask_rows(model: Variant, prompting: Prompting, rows: Sequence[Sequence[int]], seed: int) -> TextBatch:
    tokens, segment = pad_left(rows, model.embedding.table.weight.device)
    require_positions(model.reader.limit, tokens.shape[1], "text")
    targets = _hide_padding(tokens, segment)
    if prompting.mask is None:
        return TextBatch(Inputs(tokens, segment), targets, "every_token")
    free = (targets >= 0) & ~torch.isin(
        tokens, torch.tensor([*prompting.special], dtype=torch.long, device=tokens.device)
    )
    free |= (targets >= 0) & ~free.any(dim=1, keepdim=True)  # a text of special tokens alone
    chance = torch.rand(tokens.shape, generator=torch.Generator().manual_seed(seed)).to(tokens.device)
    chance = chance.masked_fill(~free, 2.0)
    count = (MASKED_SHARE * free.sum(dim=1)).round().clamp(min=1)  # [batch]
    masked = chance.argsort(dim=1).argsort(dim=1) < count[:, None]
    inputs = Inputs(tokens.masked_fill(masked, prompting.mask), segment)
    return TextBatch(inputs, targets.masked_fill(~masked, -1), "masked_token")


def _hide_padding(targets: Tensor, segment: Tensor | None) -> Tensor:
    return targets if segment is None else targets.masked_fill(segment < 0, -1)


# -------------------------------------------------------------------------------------------------------------- answers


def _encode(model: Variant, prompting: Prompting, text: str) -> list[int]:
    """Encodes an answer, without tokens around it."""
    require(bool(text), "answers: must not be empty: got ''")
    return replace(prompting, own_rules=False, before=(), after=()).encode(text, model.vocabulary)


@torch.no_grad()
def _write_answers(model: Variant, prompting: Prompting, rows: Sequence[Sequence[int]]) -> list[list[int]]:
    """Writes an answer to each row, up to and with an end token."""
    inputs = prompting.build_inputs(model, rows)
    most = min(ANSWER_TOKENS, count_tokens_left(model, inputs, None))
    steps = torch.stack(list(generate_steps(model, inputs, most, pick_likeliest)), dim=1).tolist()
    ends = [next((i + 1 for i, token in enumerate(row) if token in prompting.ends), most) for row in steps]
    return [row[:end] for row, end in zip(steps, ends, strict=True)]


def _append_answers(inputs: Inputs, answers: Sequence[Sequence[int]]) -> TextBatch:
    """Appends answers but their last tokens to the inputs, padded on the right, and predicts their tokens."""
    before = inputs.tokens
    device, length = before.device, max(len(answer) for answer in answers)
    padded = torch.tensor([[*answer, *[-1] * (length - len(answer))] for answer in answers], device=device)
    tokens = torch.cat([before, padded[:, :-1].clamp(min=0)], dim=1)
    targets = torch.cat([before.new_full((len(before), before.shape[1] - 1), -1), padded], dim=1)
    segment = inputs.segment
    if segment is not None or bool((padded < 0).any()):
        first = torch.zeros_like(before) if segment is None else segment
        segment = torch.cat([first, torch.where(padded[:, :-1] < 0, -1, 0)], dim=1)
    position = inputs.position
    if position is not None:
        further = torch.arange(1, length, device=device)
        position = torch.cat([position, position[:, -1:] + further], dim=1)
    return TextBatch(replace(inputs, tokens=tokens, segment=segment, position=position), targets, "answer")

"""Greedy: the likeliest token, again and again; and answers to sources that are written so."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.data.batch import PairBatch
from zoo.data.interfaces import Vocabulary
from zoo.generation.loop import steps
from zoo.model.interfaces import Inputs
from zoo.model.variants.encoder import Encoder
from zoo.model.variants.encoder_decoder import EncoderDecoder
from zoo.model.variants.variant import Variant


def likeliest(logits: Tensor) -> Tensor:
    """``[batch, vocabulary]`` to the likeliest token of each row ``[batch]``; the first of those that are as likely."""
    return logits.argmax(dim=-1)


def write(
    model: Variant, inputs: Inputs, vocabulary: Vocabulary, limit: int, *, cached: bool = True
) -> list[list[int]]:
    """Write up to ``limit`` tokens after ``inputs`` until every row has ended.

    Args:
        model: a decoder or an encoder-decoder, in evaluation mode.
        inputs: prompts ``[batch, length]``, padded on the left where they differ in length.
        vocabulary: knows eos.
        limit: the largest number of tokens to write; fewer where the model has no positions for as many.
        cached: whether what was read is remembered, or read again for each token.
    Returns:
        the tokens written in each row, up to and without eos.
    """
    if model.reader.limit is not None:
        limit = min(limit, model.reader.limit - inputs.tokens.shape[1] + 1)  # the last one that is written is not read
    written: list[Tensor] = []
    ended = torch.zeros(len(inputs.tokens), dtype=torch.bool, device=inputs.tokens.device)
    for token in steps(model, inputs, limit, likeliest, cached=cached):
        written.append(token)
        ended |= token == vocabulary.eos
        if bool(ended.all()):
            break
    return [_until(row, vocabulary.eos) for row in torch.stack(written, dim=1).tolist()]


@torch.no_grad()
def answer(model: Variant, batch: PairBatch, vocabulary: Vocabulary, *, prefix: bool) -> list[list[int]]:
    """What the model makes of the sources of a batch, without seeing their targets.

    An encoder is told how long each target is and fills all places at once. The others write until eos, at most twice
    as many tokens as the longest target has.

    Args:
        model: in evaluation mode, on the device of the batch.
        batch: sources, and targets of which only lengths are used.
        vocabulary: special tokens.
        prefix: whether a decoder sees the source both ways, as it was trained to.
    """
    limit = 2 * int(batch.target_length.max())
    if isinstance(model, Encoder):
        return _fill(model, batch, vocabulary)
    if isinstance(model, EncoderDecoder):
        prompt = torch.full((batch.rows, 1), vocabulary.bos, device=batch.source.device)
        end = torch.full((batch.rows, 1), vocabulary.eos, device=batch.source.device)
        source, segment = _left_padded(batch, None, end)
        return write(model, Inputs(prompt, source=source, source_segment=segment), vocabulary, limit)
    begin = torch.full((batch.rows, 1), vocabulary.bos, device=batch.source.device)
    end = torch.full((batch.rows, 1), vocabulary.sep, device=batch.source.device)
    tokens, segment = _left_padded(batch, begin, end)
    seen = torch.full((batch.rows,), tokens.shape[1], device=tokens.device) if prefix else None
    return write(model, Inputs(tokens, segment, prefix=seen), vocabulary, limit)


def _fill(model: Encoder, batch: PairBatch, vocabulary: Vocabulary) -> list[list[int]]:
    filled = []
    for row in range(batch.rows):
        source = batch.source[row, : batch.source_length[row]]
        length = int(batch.target_length[row])
        ends = source.new_tensor([vocabulary.bos]), source.new_tensor([vocabulary.sep])
        tokens = torch.cat([ends[0], source, ends[1], source.new_full((length,), vocabulary.mask)])[None]
        filled.append(_until(model(tokens)[0, -length:].argmax(dim=-1).tolist(), vocabulary.eos))
    return filled


def _left_padded(batch: PairBatch, begin: Tensor | None, end: Tensor) -> tuple[Tensor, Tensor]:
    """``begin source end`` of each row, moved to the right end, with -1 as segment of the padding before it."""
    pieces = []
    for row in range(batch.rows):
        source = batch.source[row, : batch.source_length[row]]
        pieces.append(torch.cat([*([begin[row]] if begin is not None else []), source, end[row]]))
    longest = max(len(piece) for piece in pieces)
    tokens = torch.stack([torch.nn.functional.pad(piece, (longest - len(piece), 0)) for piece in pieces])
    lengths = torch.tensor([len(piece) for piece in pieces], device=tokens.device)
    places = torch.arange(longest, device=tokens.device)[None]
    return tokens, torch.where(places >= longest - lengths[:, None], 0, -1)


def _until(tokens: list[int], eos: int) -> list[int]:
    return tokens[: tokens.index(eos)] if eos in tokens else tokens

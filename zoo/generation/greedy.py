"""Greedy decoding, and the answers to sources that are decoded this way."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.data.batch import PairBatch
from zoo.data.interfaces import Vocabulary
from zoo.generation.loop import generate_steps
from zoo.model.inputs import Inputs
from zoo.model.variants.encoder import Encoder
from zoo.model.variants.encoder_decoder import EncoderDecoder
from zoo.model.variants.variant import Variant


def pick_likeliest(logits: Tensor) -> Tensor:
    """Picks the likeliest token of each row: ``[batch, vocabulary]`` to ``[batch]``; of equal ones, the first."""
    return logits.argmax(dim=-1)


def write(
    model: Variant, inputs: Inputs, vocabulary: Vocabulary, limit: int, *, cached: bool = True
) -> list[list[int]]:
    """Generates up to ``limit`` tokens after ``inputs``, until every row has ended.

    Args:
        model: a decoder or an encoder-decoder, in evaluation mode.
        inputs: prompts ``[batch, length]``, padded on the left where they differ in length.
        vocabulary: vocabulary with the end token.
        limit: the largest number of tokens to generate; fewer if the model has not enough positions.
        cached: whether to keep caches; without them, all tokens are read again at each step.
    Returns:
        the generated tokens of each row, up to and without eos.
    """
    if model.reader.limit is not None:
        limit = min(limit, model.reader.limit - inputs.tokens.shape[1] + 1)  # the last generated token is not read
    written: list[Tensor] = []
    ended = torch.zeros(len(inputs.tokens), dtype=torch.bool, device=inputs.tokens.device)
    for token in generate_steps(model, inputs, limit, pick_likeliest, cached=cached):
        written.append(token)
        ended |= token == vocabulary.eos
        if bool(ended.all()):
            break
    return [_cut_at_end(row, vocabulary.eos) for row in torch.stack(written, dim=1).tolist()]


@torch.no_grad()
def answer_sources(model: Variant, batch: PairBatch, vocabulary: Vocabulary, *, prefix: bool) -> list[list[int]]:
    """Generates answers to the sources of a batch, without their targets.

    An encoder is given the length of each target and fills all positions at once. Other models generate until eos, at
    most twice as many tokens as the longest target has.

    Args:
        model: in evaluation mode, on the device of the batch.
        batch: sources, and targets, of which only the lengths are used.
        vocabulary: special tokens.
        prefix: whether a decoder attends to the source bidirectionally, as in its training.
    Returns:
        the tokens of each answer.
    """
    limit = 2 * int(batch.target_length.max())
    if isinstance(model, Encoder):
        return _fill_targets(model, batch, vocabulary)
    if isinstance(model, EncoderDecoder):
        prompt = torch.full((batch.rows, 1), vocabulary.decoder_start, device=batch.source.device)
        end = torch.full((batch.rows, 1), vocabulary.eos, device=batch.source.device)
        source, segment = _pad_left(batch, None, end)
        return write(model, Inputs(prompt, source=source, source_segment=segment), vocabulary, limit)
    begin = torch.full((batch.rows, 1), vocabulary.bos, device=batch.source.device)
    end = torch.full((batch.rows, 1), vocabulary.sep, device=batch.source.device)
    tokens, segment = _pad_left(batch, begin, end)
    seen = torch.full((batch.rows,), tokens.shape[1], device=tokens.device) if prefix else None
    return write(model, Inputs(tokens, segment, prefix=seen), vocabulary, limit)


def _fill_targets(model: Encoder, batch: PairBatch, vocabulary: Vocabulary) -> list[list[int]]:
    filled = []
    for row in range(batch.rows):
        source = batch.source[row, : batch.source_length[row]]
        length = int(batch.target_length[row])
        ends = source.new_tensor([vocabulary.bos]), source.new_tensor([vocabulary.sep])
        tokens = torch.cat([ends[0], source, ends[1], source.new_full((length,), vocabulary.mask)])[None]
        filled.append(_cut_at_end(model(tokens)[0, -length:].argmax(dim=-1).tolist(), vocabulary.eos))
    return filled


def _pad_left(batch: PairBatch, begin: Tensor | None, end: Tensor) -> tuple[Tensor, Tensor]:
    """Concatenates ``begin source end`` of each row, padded on the left; segments are -1 at padding."""
    pieces = []
    for row in range(batch.rows):
        source = batch.source[row, : batch.source_length[row]]
        pieces.append(torch.cat([*([begin[row]] if begin is not None else []), source, end[row]]))
    longest = max(len(piece) for piece in pieces)
    tokens = torch.stack([torch.nn.functional.pad(piece, (longest - len(piece), 0)) for piece in pieces])
    lengths = torch.tensor([len(piece) for piece in pieces], device=tokens.device)
    places = torch.arange(longest, device=tokens.device)[None]
    return tokens, torch.where(places >= longest - lengths[:, None], 0, -1)


def _cut_at_end(tokens: list[int], eos: int) -> list[int]:
    return tokens[: tokens.index(eos)] if eos in tokens else tokens

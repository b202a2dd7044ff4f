"""Beam search: keeps the likeliest partial texts of each prompt at every step."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.checks import Refused
from zoo.generation.loop import require_numbers
from zoo.generation.reader import PromptReader
from zoo.model.inputs import Inputs
from zoo.model.variants.variant import Variant


@dataclass(frozen=True)
class Beam:
    """A finished text.

    Args:
        tokens: its tokens, including the end token unless the limit ended the text.
        score: log-probability of the text, divided by its number of tokens to the power of the length penalty.
    """

    tokens: tuple[int, ...]
    score: float


def search(
    model: Variant,
    inputs: Inputs,
    ends: Collection[int],
    limit: int,
    *,
    beams: int,
    length_penalty: float = 1.0,
    cached: bool = True,
) -> list[list[Beam]]:
    """Searches for the ``beams`` best texts for each prompt.

    Each step keeps the ``beams`` likeliest unfinished texts. A row is done when it has ``beams`` finished texts and the
    likeliest unfinished one would score below all of them if it ended now. With a positive penalty, it might still
    reach a higher score later; this is the common heuristic (``early_stopping=False`` in transformers).

    Args:
        model: a decoder or an encoder-decoder, in evaluation mode.
        inputs: prompts ``[batch, length]``, padded on the left where they differ in length.
        ends: tokens that end a text.
        limit: the largest number of tokens to generate.
        beams: number of texts kept per prompt; 1 is greedy decoding.
        length_penalty: above 0 favors long texts, below 0 short ones (arXiv:1609.08144).
        cached: as in :class:`PromptReader`.
    Returns:
        the beams of each prompt, best first.
    Raises:
        Refused: if ``beams`` is not positive or ``length_penalty`` not finite.
    """
    if beams < 1 or not math.isfinite(length_penalty):
        raise Refused(f"beams must be positive and length_penalty finite: got {beams=}, {length_penalty=}")
    rows = len(inputs.tokens)
    reading = PromptReader(model, inputs, limit, cached=cached)
    found: list[list[Beam]] = [[] for _ in range(rows)]
    texts: list[list[tuple[int, ...]]] = [[()] for _ in range(rows)]
    scores = torch.zeros(rows, 1, device=reading.logits.device)
    is_open = [True] * rows
    for length in range(1, limit + 1):
        best, beam, token = _select_candidates(require_numbers(reading.logits), scores, beams * max(2, 1 + len(ends)))
        ended = _find_ended(token, ends, is_last=length == limit)
        longer, divisor = _extend_texts(texts, beam, token), length**length_penalty
        for row in range(rows):
            if is_open[row]:
                found[row] = _add_finished(found[row], longer[row], best[row], ended[row], divisor, beams)
        scores, places = best.masked_fill(ended, -math.inf).topk(min(beams, best.shape[1]))
        hopes = (scores[:, 0] / divisor).tolist()  # minus infinity at the limit, where all texts end
        is_open = [is_open[row] and _can_improve(found[row], hopes[row], beams) for row in range(rows)]
        if not any(is_open):
            break
        texts = [[longer[row][place] for place in chosen] for row, chosen in enumerate(places.tolist())]
        _read_chosen(reading, beam.gather(1, places), token.gather(1, places))
    return found


def _select_candidates(logits: Tensor, scores: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Selects the likeliest continuations by one token: log-probability, beam that is continued, and token.

    Args:
        logits: ``[batch * beams, vocabulary]``.
        scores: log-probabilities of the texts so far ``[batch, beams]``.
        count: number of continuations; more than the beams, because some of them end here.
    Returns:
        three tensors ``[batch, count]``, likeliest first.
    """
    rows, vocabulary = len(scores), logits.shape[-1]
    total = scores[:, :, None] + logits.float().log_softmax(dim=-1).view(rows, -1, vocabulary)
    best, place = total.flatten(1).topk(min(count, total[0].numel()))
    return best, place // vocabulary, place % vocabulary


def _find_ended(token: Tensor, ends: Collection[int], *, is_last: bool) -> Tensor:
    """Finds the candidates that end here, with an end token or because the limit is reached, ``[batch, count]``."""
    if is_last:
        return torch.ones_like(token, dtype=torch.bool)
    return torch.isin(token, torch.tensor(sorted(ends), dtype=token.dtype, device=token.device))


def _extend_texts(texts: list[list[tuple[int, ...]]], beam: Tensor, token: Tensor) -> list[list[tuple[int, ...]]]:
    """Extends the text of each candidate's beam by its token."""
    rows = zip(texts, beam.tolist(), token.tolist(), strict=True)
    return [[(*row[b], t) for b, t in zip(beams, tokens, strict=True)] for row, beams, tokens in rows]


def _add_finished(
    found: list[Beam], texts: list[tuple[int, ...]], best: Tensor, ended: Tensor, divisor: float, beams: int
) -> list[Beam]:
    """Adds the texts that end among the likeliest candidates of one row, and keeps the best of all.

    Args:
        found: finished texts so far, best first.
        texts: texts of the candidates, likeliest first.
        best: their log-probabilities ``[count]``; minus infinity for impossible texts.
        ended: whether each ends here ``[count]``.
        divisor: length of the texts to the power of the length penalty.
        beams: number of candidates that count, and of finished texts that are kept.
    """
    best, ended = best[:beams], ended[:beams]
    candidates = zip(texts, best.tolist(), (best / divisor).tolist(), ended.tolist(), strict=False)
    new = [Beam(text, score) for text, total, score, end in candidates if end and total > -math.inf]
    return sorted([*found, *new], key=lambda each: -each.score)[:beams]


def _read_chosen(reading: PromptReader, beam: Tensor, token: Tensor) -> None:
    """Continues the chosen beams ``[batch, beams]`` of each row with their tokens ``[batch, beams]``."""
    rows = len(beam)
    first = torch.arange(rows, device=beam.device)[:, None] * (len(reading.logits) // rows)
    reading.select((beam + first).flatten())
    reading.add(token.flatten())


def _can_improve(found: list[Beam], hope: float, beams: int) -> bool:
    return hope > -math.inf and (len(found) < beams or hope > found[-1].score)

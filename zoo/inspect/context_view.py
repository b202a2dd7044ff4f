"""View of context: how far the vectors of one word part, layer by layer, in two texts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.checks import Refused
from zoo.generation.prompting import Prompting
from zoo.generation.token_labels import TokenLabel, TokenLabeler
from zoo.inspect.trace import trace_model
from zoo.model.inputs import Inputs
from zoo.model.variants.encoder import Encoder
from zoo.model.variants.variant import Variant

NEIGHBORS = 4
_WORD = re.compile(r"[\u3400-\u9fff]+|[^\W\d_]+")


@dataclass(frozen=True)
class PlacedToken:
    """A token of one of the two texts.

    Args:
        text: 0 or 1.
        place: its index among the tokens of the text.
        cosine: cosine of its vector with that of the word.
    """

    text: int
    place: int
    cosine: float


@dataclass(frozen=True)
class ContextLayer:
    """Vectors of the word at one depth.

    Args:
        cosine: cosine of the vectors of the word in the two texts.
        distance: norm of their difference, divided by the mean of their norms.
        neighbors: for each text, the other tokens of both texts whose vectors at this depth are nearest to the word.
    """

    cosine: float
    distance: float
    neighbors: tuple[tuple[PlacedToken, ...], ...]


@dataclass(frozen=True)
class ContextView:
    """A word in two texts.

    Args:
        word: the word.
        texts: the two texts.
        tokens: their tokens.
        spans: first token of the word in each text, and the one after its last.
        layers: embeddings, then the stream after each layer. If a causal model reads the word before all that differs,
            its vectors are equal.
    """

    word: str
    texts: tuple[str, str]
    tokens: tuple[tuple[TokenLabel, ...], ...]
    spans: tuple[tuple[int, int], ...]
    layers: tuple[ContextLayer, ...]


def compare_contexts(
    model: Variant, prompting: Prompting, texts: Sequence[str], word: str | None = None
) -> ContextView:
    """Compares the vectors of a word in two texts; a vector is the mean over the tokens of the word.

    Args:
        model: any variant; of an encoder-decoder, the encoder reads the texts.
        prompting: encodes texts.
        texts: two texts.
        word: a word of both; None for the longest that both have.
    Raises:
        Refused: if a text does not have the word, or both have none in common.
    """
    first, second = texts
    word = find_common_word(first, second) if word is None else word
    labeler, reads = TokenLabeler(prompting.tokenizer), [_read(model, prompting, text) for text in texts]
    labels = [tuple(labeler.label_row(ids)) for ids, _ in reads]
    spans = [_find_span(found, word, text) for found, text in zip(labels, texts, strict=True)]
    layers = [_compare_layer([streams[depth] for _, streams in reads], spans) for depth in range(len(reads[0][1]))]
    return ContextView(word, (first, second), tuple(labels), tuple(spans), tuple(layers))


def find_common_word(first: str, second: str) -> str:
    """Finds the longest word of both texts; in Chinese, which has no spaces, the longest common run of characters.

    Of equally long ones, the first in the first text.
    """
    words: set[str] = set(_WORD.findall(second))
    found: list[str] = [run for run in _WORD.findall(first) if run in words]
    for run in re.findall(r"[\u3400-\u9fff]+", first):
        pieces = (run[start:end] for start in range(len(run)) for end in range(start + 1, len(run) + 1))
        found += [piece for piece in pieces if piece in second]
    if not found:
        raise Refused(f"the texts must have a word in common, or one must be given: got {first!r} and {second!r}")
    return max(found, key=len)


def _read(model: Variant, prompting: Prompting, text: str) -> tuple[list[int], list[Tensor]]:
    """Returns the tokens of a text, and the stream at each depth ``[length, dim]``."""
    ids = prompting.encode(text, model.vocabulary)
    inputs = Inputs(torch.tensor([ids], device=model.embedding.table.weight.device))
    if not isinstance(model, Encoder):
        inputs = prompting.build_inputs(model, [ids])
    trace = trace_model(model, inputs, lambda stack, sublayer, record: None)
    stack = next(iter(trace.stacks.values()))
    return ids, [*(stream[0] for stream in stack.streams[:-1]), stack.hidden[0]]


def _find_span(labels: Sequence[TokenLabel], word: str, text: str) -> tuple[int, int]:
    """Finds the tokens of the first occurrence of a word; those that also have other characters belong to it."""
    spelled, ends = "", []
    for label in labels:
        if label.kind == "text" and label.part == 1:
            spelled += label.text
        ends.append(len(spelled))
    begin = spelled.lower().find(word.lower())
    if begin < 0:
        raise Refused(f"the text must have the word {word!r}: got {text!r}")
    inside = [
        place for place, end in enumerate(ends) if end > begin and _start(labels, ends, place) < begin + len(word)
    ]
    return inside[0], inside[-1] + 1


def _start(labels: Sequence[TokenLabel], ends: Sequence[int], place: int) -> int:
    """Returns where the characters of a token begin; parts of one character begin where it does."""
    return ends[place] - (len(labels[place].text) if labels[place].kind == "text" else 0)


def _compare_layer(streams: Sequence[Tensor], spans: Sequence[tuple[int, int]]) -> ContextLayer:
    vectors = [stream[slice(*span)].float().mean(dim=0) for stream, span in zip(streams, spans, strict=True)]
    distance = (vectors[0] - vectors[1]).norm() / torch.stack([vector.norm() for vector in vectors]).mean()
    others = [
        (text, place)
        for text, (stream, span) in enumerate(zip(streams, spans, strict=True))
        for place in range(len(stream))
        if not span[0] <= place < span[1]
    ]
    table = torch.stack([streams[text][place].float() for text, place in others]) if others else vectors[0][None, :][:0]
    return ContextLayer(
        float(F.cosine_similarity(vectors[0], vectors[1], dim=0)),
        float(distance),
        tuple(_find_nearest(vector, table, others) for vector in vectors),
    )


def _find_nearest(vector: Tensor, table: Tensor, places: Sequence[tuple[int, int]]) -> tuple[PlacedToken, ...]:
    cosines = F.cosine_similarity(table, vector[None], dim=-1)
    best = cosines.topk(min(NEIGHBORS, len(places))).indices.tolist()
    return tuple(PlacedToken(places[i][0], places[i][1], float(cosines[i])) for i in best)

"""View of word vectors for a page: neighbors among all tokens, and a map and arithmetic of some of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F

from zoo.checks import require
from zoo.generation.prompting import Prompting
from zoo.generation.token_labels import TokenLabeler
from zoo.inspect.packed_arrays import pack_numbers
from zoo.inspect.word_vectors import WordVectors, project_to_plane
from zoo.model.variants.variant import Variant

NUMBERS = 400_000  # features of all tokens together whose vectors are in the page
WORDS, NEIGHBORS = 60, 6
_ARITHMETIC = re.compile(r"([^-+]+)-([^-+]+)\+([^-+]+)")


def build_vector_view(
    model: Variant, prompting: Prompting, ids: Sequence[int], words: Sequence[str] = ()
) -> dict[str, Any]:
    """Builds the view of the embedding that reads the texts.

    ``entries`` are the words that were asked for and the tokens of the text, each with its neighbors among all tokens;
    then, as far as space allows, these neighbors. ``vectors`` are their centered directions and ``map`` their places in
    the plane of the first two principal components.

    Args:
        model: any variant.
        prompting: encodes words.
        ids: tokens of the text.
        words: further words; one of several tokens has the mean of their vectors. ``king-man+woman`` computes with
            three words, whose tokens are not among its neighbors.
    Raises:
        Refused: if a word has no token, or one that the model does not embed.
    """
    labeler = TokenLabeler(prompting.tokenizer)
    special = {token for token in prompting.special if token < model.vocabulary}
    embedding = getattr(model, "source_embedding", None) or model.embedding
    known = WordVectors(embedding.table.weight, [*special, *_list_unused_rows(prompting, model.vocabulary)])
    most = max(8, NUMBERS // embedding.width)
    asked = [(word, _encode_terms(prompting, word, model.vocabulary)) for word in dict.fromkeys(words)]
    asked_terms = [terms for _, terms in asked]
    shown = [token for token in dict.fromkeys(ids) if token not in special and [[token]] not in asked_terms][:WORDS]
    entries: list[dict[str, Any]] = []
    vectors = []
    for text, terms in [*asked, *((_spell(labeler, token), [[token]]) for token in shown)][:most]:
        vectors.append(known.combine(*terms) if len(terms) == 3 else known.compute_vector(terms[0]))
        found = known.find_neighbors(vectors[-1], NEIGHBORS, without=[*chain(*terms)])
        neighbors = [[each.id, round(each.cosine, 4)] for each in found]
        entries.append({"ids": terms[0] if len(terms) == 1 else [], "text": text, "neighbors": neighbors})
    present = {tuple(entry["ids"]) for entry in entries}
    further = dict.fromkeys(token for entry in entries for token, _ in entry["neighbors"])
    for token in [token for token in further if (token,) not in present][: max(0, most - len(entries))]:
        vectors.append(known.compute_vector([token]))
        entries.append({"ids": [token], "text": _spell(labeler, token), "neighbors": None})
    stacked = F.normalize(torch.stack(vectors), dim=-1) if vectors else torch.zeros(0, embedding.width)
    plane = project_to_plane(stacked) if vectors else torch.zeros(0, 2)
    return {"entries": entries, "vectors": pack_numbers(stacked), "map": pack_numbers(plane)}


def _list_unused_rows(prompting: Prompting, vocabulary: int) -> list[int]:
    """Lists the rows of a table that are no token, as where a vocabulary is padded to a multiple of 64."""
    return sorted(set(range(vocabulary)) - set(prompting.tokenizer.get_vocab(with_added_tokens=True).values()))


def _encode_terms(prompting: Prompting, word: str, vocabulary: int) -> list[list[int]]:
    """Encodes a word, or the three of ``a-b+c``."""
    found = _ARITHMETIC.fullmatch(word)
    return [_encode_word(prompting, term, vocabulary) for term in (found.groups() if found else [word])]


def _encode_word(prompting: Prompting, word: str, vocabulary: int) -> list[int]:
    """Encodes a word as within a text: with a space before it where the vocabulary has such a token."""
    spaced = prompting.tokenizer.encode(f" {word}", add_special_tokens=False).ids
    plain = prompting.tokenizer.encode(word, add_special_tokens=False).ids
    ids = list(spaced if len(spaced) <= len(plain) else plain)
    require(bool(ids and word.strip()), f"words: each must have a token: got {word!r}")
    require(
        max(ids) < vocabulary, f"words: the model has vectors for {vocabulary} tokens: {word!r} has token {max(ids)}"
    )
    return ids


def _spell(labeler: TokenLabeler, token: int) -> str:
    return labeler.label_candidate(token, []).text

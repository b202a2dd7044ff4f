"""View of word vectors for a page: neighbors among all tokens, and a map and arithmetic of some of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from zoo.generation.prompting import Prompting
from zoo.generation.token_labels import TokenLabeler
from zoo.inspect.packed_arrays import pack_numbers
from zoo.inspect.word_vectors import WordVectors, project_to_plane
from zoo.model.variants.variant import Variant

NUMBERS = 400_000  # features of all tokens together whose vectors are in the page
WORDS, NEIGHBORS = 60, 6


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
        words: further words; one of several tokens has the mean of their vectors.
    """
    labeler, special = TokenLabeler(prompting.tokenizer), _list_special_tokens(prompting)
    embedding = getattr(model, "source_embedding", None) or model.embedding
    known = WordVectors(embedding.table.weight, [token for token in special if token < model.vocabulary])
    most = max(8, NUMBERS // embedding.width)
    asked = [(word, _encode_word(prompting, word)) for word in dict.fromkeys(words)]
    shown = [token for token in dict.fromkeys(ids) if token not in special][:WORDS]
    entries: list[dict[str, Any]] = []
    vectors = []
    for text, tokens in [*asked, *((_spell(labeler, token), [token]) for token in shown)][:most]:
        vectors.append(known.compute_vector(tokens))
        found = known.find_neighbors(vectors[-1], NEIGHBORS, without=tokens)
        neighbors = [[each.id, round(each.cosine, 4)] for each in found]
        entries.append({"ids": list(tokens), "text": text, "neighbors": neighbors})
    present = {tuple(entry["ids"]) for entry in entries}
    further = dict.fromkeys(token for entry in entries for token, _ in entry["neighbors"])
    for token in [token for token in further if (token,) not in present][: max(0, most - len(entries))]:
        vectors.append(known.compute_vector([token]))
        entries.append({"ids": [token], "text": _spell(labeler, token), "neighbors": None})
    stacked = F.normalize(torch.stack(vectors), dim=-1) if vectors else torch.zeros(0, embedding.width)
    plane = project_to_plane(stacked) if vectors else torch.zeros(0, 2)
    return {"entries": entries, "vectors": pack_numbers(stacked), "map": pack_numbers(plane)}


def _list_special_tokens(prompting: Prompting) -> list[int]:
    return [token for token, about in prompting.tokenizer.get_added_tokens_decoder().items() if about.special]


def _encode_word(prompting: Prompting, word: str) -> list[int]:
    """Encodes a word as within a text: with a space before it where the vocabulary has such a token."""
    spaced = prompting.tokenizer.encode(f" {word}", add_special_tokens=False).ids
    plain = prompting.tokenizer.encode(word, add_special_tokens=False).ids
    return list(spaced if len(spaced) <= len(plain) else plain)


def _spell(labeler: TokenLabeler, token: int) -> str:
    return labeler.label_candidate(token, []).text

"""Word vectors against plain loops, and words of a vocabulary made by hand."""

from __future__ import annotations

import math

import pytest
import torch

from tests.inspect.conftest import Speaker
from zoo.checks import Refused
from zoo.inspect.packed_arrays import unpack_numbers
from zoo.inspect.vector_view import NUMBERS, build_vector_view
from zoo.inspect.word_vectors import WordVectors, project_to_plane
from zoo.model.build import build
from zoo.testing.subject import SMALL


def test_neighbors_are_those_of_a_plain_loop() -> None:
    table = torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    mean = [sum(row[k] for row in table.tolist()) / 50 for k in range(7)]
    rows = [[x - m for x, m in zip(row, mean, strict=True)] for row in table.tolist()]

    def cosine(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    expected = sorted((i for i in range(2, 50) if i != 9), key=lambda i: -cosine(rows[9], rows[i]))[:4]
    known = WordVectors(table, excluded=[0, 1])
    found = known.find_neighbors(known.compute_vector([9]), 4, without=[9])
    assert [each.id for each in found] == expected
    assert [each.cosine for each in found] == pytest.approx([cosine(rows[9], rows[i]) for i in expected], abs=1e-5)


def test_arithmetic_finds_the_queen() -> None:
    """Royalty and gender as two features: king - man + woman is queen, and none of the three is an answer."""
    names = ["king", "queen", "man", "woman", "apple", "pear"]
    table = torch.tensor([[1.0, 1, 0], [1, -1, 0], [0, 1, 0], [0, -1, 0], [-1, 0.1, 1], [-1, -0.1, 1]])
    known = WordVectors(table)
    king, queen, man, woman = ([names.index(name)] for name in ("king", "queen", "man", "woman"))
    assert known.solve_analogy(king, man, woman, 3)[0].id == queen[0]
    assert {each.id for each in known.solve_analogy(king, man, woman, 9)} == {1, 4, 5}


def test_a_word_of_several_tokens_has_the_mean_of_their_vectors() -> None:
    table = torch.tensor([[0.0, 0], [2, 0], [0, 4], [2, 4]])
    assert WordVectors(table).compute_vector([1, 2]).tolist() == [0.0, 0.0]
    assert WordVectors(table).compute_vector([3]).tolist() == [1.0, 2.0]


def test_the_map_keeps_distances_of_a_plane_in_space() -> None:
    flat = torch.randn(20, 2, generator=torch.Generator().manual_seed(1)).double()
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(2)).double())[0][:2]
    found = project_to_plane(flat @ turn + 3)
    torch.testing.assert_close(torch.cdist(found, found), torch.cdist(flat, flat))
    assert (found.gather(0, found.abs().argmax(dim=0, keepdim=True)) > 0).all()
    assert project_to_plane(torch.ones(1, 1)).tolist() == [[0.0, 0.0]]


def test_large_vocabularies_take_a_moment() -> None:
    import time

    known = WordVectors(torch.randn(150_000, 64))
    start = time.perf_counter()
    known.find_neighbors(known.compute_vector([5]), 10)
    assert time.perf_counter() - start < 2


def test_the_view_has_words_tokens_and_neighbors(speaker: Speaker) -> None:
    model, prompting = speaker()
    found = build_vector_view(model, prompting, prompting.encode("abca", model.vocabulary), words=["no", "no"])
    assert [entry["text"] for entry in found["entries"][:4]] == ["no", "a", "b", "c"]
    assert all(len(entry["neighbors"]) == 6 for entry in found["entries"][:4])
    vectors = unpack_numbers(found["vectors"])
    assert len(vectors) == len(found["entries"]) <= NUMBERS // 16
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(len(vectors)).double(), atol=1e-3, rtol=0)
    listed = {tuple(entry["ids"]) for entry in found["entries"]}
    assert all((token,) in listed for entry in found["entries"][:4] for token, _ in entry["neighbors"])


def test_rows_that_are_no_token_are_no_neighbors(speaker: Speaker) -> None:
    """A table with 64 rows more than the tokenizer has tokens, which would be the nearest."""
    _, prompting = speaker()
    size = prompting.tokenizer.get_vocab_size()
    padded = build(SMALL | {"variant": "decoder"}, size + 64, seed=0)
    padded.embedding.table.weight.data[size:] = padded.embedding.table.weight.data[prompting.encode("a", size)[0]]
    found = build_vector_view(padded, prompting, prompting.encode("ab", size))
    assert all(token < size for entry in found["entries"] for token, _ in entry["neighbors"] or ())


@pytest.mark.parametrize("word", [" ", "", "z"])
def test_words_without_vectors_are_refused(word: str, speaker: Speaker) -> None:
    _, prompting = speaker()
    small = build(SMALL | {"variant": "decoder"}, 50, seed=0)
    with pytest.raises(Refused, match="words: "):
        build_vector_view(small, prompting, [10], words=[word])


def test_arithmetic_is_searched_among_all_tokens(speaker: Speaker) -> None:
    model, prompting = speaker()
    found = build_vector_view(model, prompting, [], words=["a-b+c"])["entries"][0]
    a, b, c = (prompting.tokenizer.encode(letter).ids for letter in "abc")
    special = [token for token, about in prompting.tokenizer.get_added_tokens_decoder().items() if about.special]
    answers = WordVectors(model.embedding.table.weight, special).solve_analogy(a, b, c, 6)
    assert (found["text"], found["ids"]) == ("a-b+c", [])
    assert [token for token, _ in found["neighbors"]] == [answer.id for answer in answers]

"""Causal and prefix language modelling, and pairs, against plain loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from zoo.checks import Refused
from zoo.components.objective.causal_lm import CausalLm
from zoo.components.objective.prefix_lm import PrefixLm
from zoo.components.objective.seq2seq import Seq2Seq
from zoo.data.batch import DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.testing.objective_checks import prepare

LENGTHS = [[9, 4, 8], [21], [2, 3, 3], [12, 7]]
PAIRS = [(5, 4), (1, 1), (8, 6), (3, 7)]
Make = Callable[..., Any]


def asked(view: Any) -> list[tuple[int, int]]:
    return [(b, i) for b, i in view.valid.nonzero().tolist()]


def test_causal_lm_predicts_each_token_but_the_first_of_a_document_once(
    documents: Make, vocabulary: Vocabulary, generator: torch.Generator
) -> None:
    batch: DocumentBatch = documents(LENGTHS, vocabulary)
    view = prepare(CausalLm(16, vocabulary, "decoder"), batch)
    expected = []
    for row in range(batch.rows):
        for column in range(1, batch.tokens.shape[1]):
            segment = int(batch.segment[row, column])
            if segment >= 0 and int(batch.segment[row, column - 1]) == segment:
                expected.append((row, column - 1))
                assert int(view.targets[row, column - 1]) == int(batch.tokens[row, column])
    assert asked(view) == expected
    assert torch.equal(view.inputs.tokens, batch.tokens[:, :-1])
    assert torch.equal(view.inputs.segment, batch.segment[:, :-1])
    assert torch.equal(view.inputs.position, batch.position[:, :-1])
    total = sum(length - 1 for row in LENGTHS for length in row)
    assert len(expected) == total


def test_rows_of_a_text_predict_every_token_of_it_once(vocabulary: Vocabulary, generator: torch.Generator) -> None:
    """Rows overlap by one token, so no token is lost at a cut."""
    text, length = torch.randint(14, 32, (25,)), 6
    rows = torch.stack([text[at : at + length + 1] for at in range(0, 24, length)])
    batch = DocumentBatch(rows, torch.zeros_like(rows), torch.arange(length + 1).expand_as(rows))
    view = prepare(CausalLm(16, vocabulary, "decoder"), batch)
    assert view.targets[view.valid].tolist() == text[1:].tolist()


@pytest.mark.parametrize("prefix", [False, True])
def test_a_decoder_reads_a_pair_as_one_row(
    prefix: bool, pairs: Make, vocabulary: Vocabulary, generator: torch.Generator
) -> None:
    batch = pairs(PAIRS, vocabulary)
    view = prepare((PrefixLm if prefix else CausalLm)(16, vocabulary, "decoder"), batch)
    for row, (source, target) in enumerate(PAIRS):
        whole = [
            vocabulary.bos,
            *batch.source[row, :source].tolist(),
            vocabulary.sep,
            *batch.target[row, :target].tolist(),
        ]
        length = len(whole) - 1
        assert view.inputs.tokens[row, :length].tolist() == whole[:-1]
        assert view.targets[row, :length].tolist() == whole[1:]
        assert view.inputs.segment is not None
        assert view.inputs.segment[row].tolist() == [0] * length + [-1] * (view.targets.shape[1] - length)
        assert [i for b, i in asked(view) if b == row] == list(range(source + 1, source + 1 + target))
        if prefix:
            assert view.inputs.prefix is not None
            assert int(view.inputs.prefix[row]) == source + 2
    assert (view.inputs.prefix is not None) == prefix


@pytest.mark.parametrize("cls", [Seq2Seq, PrefixLm])
def test_two_stacks_read_a_pair_apart(
    cls: type[Seq2Seq] | type[PrefixLm], pairs: Make, vocabulary: Vocabulary, generator: torch.Generator
) -> None:
    batch = pairs(PAIRS, vocabulary)
    inputs = (view := prepare(cls(16, vocabulary, "encoder_decoder"), batch)).inputs
    assert inputs.source is not None
    assert inputs.source_segment is not None
    assert inputs.segment is not None
    for row, (source, target) in enumerate(PAIRS):
        read = batch.target[row, :target].tolist()
        assert inputs.source[row, : source + 1].tolist() == [*batch.source[row, :source].tolist(), vocabulary.eos]
        assert inputs.source_segment[row].tolist() == [0] * (source + 1) + [-1] * (inputs.source.shape[1] - source - 1)
        assert inputs.tokens[row, :target].tolist() == [vocabulary.bos, *read[:-1]]
        assert inputs.segment[row].tolist() == [0] * target + [-1] * (inputs.tokens.shape[1] - target)
        assert [(i, int(view.targets[row, i])) for b, i in asked(view) if b == row] == list(enumerate(read))


def test_a_prefix_divides_rows_of_documents(documents: Make, vocabulary: Vocabulary) -> None:
    batch: DocumentBatch = documents(LENGTHS, vocabulary)
    one, two = (PrefixLm(16, vocabulary, variant) for variant in ("decoder", "encoder_decoder"))
    prefixes = set()
    for seed in range(60):
        view = prepare(one, batch, seed)
        apart = prepare(two, batch, seed)
        assert view.inputs.prefix is not None
        for row in range(batch.rows):
            prefix = int(view.inputs.prefix[row])
            prefixes.add(prefix)
            places = []
            for column in range(batch.tokens.shape[1] - 1):
                segment = int(batch.segment[row, column])
                if column + 1 >= prefix and segment >= 0 and int(batch.segment[row, column + 1]) == segment:
                    places.append((row, column))
            assert [place for place in asked(view) if place[0] == row] == places
            assert [place for place in asked(apart) if place[0] == row] == places
            source, read = apart.inputs.source_segment[row], apart.inputs.segment[row]  # type: ignore[index]
            assert source.tolist() == [*batch.segment[row, :prefix].tolist(), *[-1] * (len(source) - prefix)]
            assert read.tolist() == [*[-1] * (prefix - 1), *batch.segment[row, prefix - 1 : -1].tolist()]
    length = batch.tokens.shape[1] - 1
    assert prefixes == set(range(1, length)), "every place is drawn, and something is left to predict"


@pytest.mark.parametrize("cls", [CausalLm, PrefixLm, Seq2Seq])
def test_smoothing_is_a_share(cls: Any, vocabulary: Vocabulary) -> None:
    with pytest.raises(Refused, match=r"label_smoothing must be between 0.0 and 0.99: got label_smoothing=1.5"):
        cls(16, vocabulary, "decoder", label_smoothing=1.5)

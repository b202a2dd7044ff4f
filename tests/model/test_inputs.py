"""Inputs without what says nothing."""

from __future__ import annotations

import torch

from zoo.model.inputs import Inputs

TOKENS = torch.zeros(2, 4, dtype=torch.long)
COUNTED = torch.arange(4).repeat(2, 1)


def test_rows_of_one_document_need_neither_segment_nor_position() -> None:
    inputs = Inputs(TOKENS, torch.tensor([[0] * 4, [3] * 4]), COUNTED).simplify()
    assert inputs.segment is None
    assert inputs.position is None


def test_packed_and_padded_rows_keep_both() -> None:
    for segment in ([[0, 0, 1, 1], [0] * 4], [[0] * 4, [0, 0, 0, -1]], [[0] * 4, [-1] * 4]):
        inputs = Inputs(TOKENS, torch.tensor(segment), COUNTED).simplify()
        assert inputs.segment is not None
        assert inputs.position is not None


def test_positions_that_do_not_count_from_zero_are_kept() -> None:
    inputs = Inputs(TOKENS, torch.zeros_like(TOKENS), COUNTED + 1).simplify()
    assert inputs.segment is None
    assert inputs.position is not None


def test_a_source_is_simplified_on_its_own() -> None:
    padded = torch.tensor([[0, 0, 0, -1], [0, 0, 0, 0]])
    inputs = Inputs(TOKENS, padded, source=TOKENS, source_segment=torch.zeros_like(TOKENS)).simplify()
    assert inputs.segment is padded
    assert inputs.source_segment is None
    assert inputs.count_source_tokens() == 8

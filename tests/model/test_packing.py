"""Packed rows are taken apart into documents and put together again."""

from __future__ import annotations

import torch

from zoo.model.packing import PackedDocuments

SEGMENT = torch.tensor([[-1, 0, 0, 1, 1, 1], [0, 1, 0, -1, -1, 1], [-1] * 6])


def test_each_document_becomes_a_row_in_order_of_arrival() -> None:
    x = torch.arange(18.0).view(3, 6, 1)
    documents = PackedDocuments(SEGMENT)
    assert documents.unpack(x)[..., 0].tolist() == [[1, 2, 0], [3, 4, 5], [6, 8, 0], [7, 11, 0]]
    assert documents.lengths.tolist() == [2, 3, 2, 2]


def test_together_undoes_apart_and_leaves_padding_at_zero() -> None:
    x = torch.randn(3, 6, 4, requires_grad=True)
    documents = PackedDocuments(SEGMENT)
    back = documents.pack(documents.unpack(x))
    assert torch.equal(back, x * (SEGMENT >= 0)[..., None])
    (gradient,) = torch.autograd.grad(back.sum(), x)
    assert torch.equal(gradient, (SEGMENT >= 0)[..., None].expand_as(x).float())


def test_there_may_be_nothing_but_padding() -> None:
    documents = PackedDocuments(SEGMENT[2:])
    assert documents.pack(documents.unpack(torch.ones(1, 6, 2))).tolist() == torch.zeros(1, 6, 2).tolist()

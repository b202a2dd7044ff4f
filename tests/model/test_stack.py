"""Where tokens stand when only their padding is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from zoo.checks import Refused
from zoo.model.inputs import Inputs
from zoo.model.stack import build_tokens
from zoo.model.variants.variant import Variant

SEGMENT = torch.tensor([[-1, -1, 0, 0, 0], [0, 0, 0, 0, -1]])


def test_positions_count_what_is_not_padding() -> None:
    tokens = build_tokens(5, 0, None, SEGMENT, SEGMENT.device)
    assert tokens.position.tolist() == [[0, 0, 0, 1, 2], [0, 1, 2, 3, 3]]


def test_positions_that_are_given_are_kept() -> None:
    given = torch.tensor([[3, 4], [5, 6]])
    assert build_tokens(2, 3, given, SEGMENT[:, 3:], SEGMENT.device).position.equal(given)


def test_without_padding_tokens_stand_where_they_arrive() -> None:
    assert build_tokens(2, 3, None, None, SEGMENT.device).position.tolist() == [[3, 4]]


def test_padding_alone_does_not_say_where_later_tokens_stand(built: Callable[..., Variant]) -> None:
    """How many of the tokens before them were padding is not known: they would begin at 0 again."""
    model = built(position={"name": "learned", "length": 8})
    caches = model.reader.create_caches(5)
    tokens = torch.tensor([[7, 9, 12, 7, 30], [8, 8, 6, 31, 7]])
    model.compute_hidden(Inputs(tokens[:, :3], SEGMENT[:, :3]), caches)
    with pytest.raises(Refused, match="position must be given with a segment if start is positive: got start=3"):
        model.compute_hidden(Inputs(tokens[:, 3:], SEGMENT[:, 3:], start=3), caches)

"""Where tokens stand when only their padding is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from zoo.checks import Refused
from zoo.components.position._rotation import RotationTable
from zoo.components.position.rotary import Rotary
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


@pytest.mark.parametrize("attention", ["multi_head", "latent"])
def test_rotary_tables_are_computed_once_for_all_layers(
    attention: str, built: Callable[..., Variant], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = built(layers=3, position={"name": "rotary"}, attention={"name": attention})
    computed: list[int] = []
    compute = Rotary._compute_table

    def count(self: Rotary, features: int, positions: Tensor, x: Tensor) -> RotationTable:
        computed.append(features)
        return compute(self, features, positions, x)

    monkeypatch.setattr(Rotary, "_compute_table", count)
    model(torch.tensor([[7, 9, 12]]))
    assert len(computed) == 1


def test_rotary_tables_follow_positions_that_are_changed_in_place(built: Callable[..., Variant]) -> None:
    model = built(position={"name": "rotary"})
    position = torch.tensor([[0, 1, 2]])
    inputs = Inputs(torch.tensor([[7, 9, 12]]), position=position)
    before = model.compute_hidden(inputs)
    position.mul_(2)
    changed = model.compute_hidden(inputs)
    assert not torch.equal(before, changed)
    torch.testing.assert_close(changed, model.compute_hidden(Inputs(inputs.tokens, position=torch.tensor([[0, 2, 4]]))))

"""Models as they are called: masks of padding, sources, wiring of the stacks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from zoo.checks import Refused
from zoo.model.build import VARIANTS
from zoo.model.inputs import Inputs
from zoo.model.variants.variant import Variant

Built = Callable[..., Variant]
TOKENS = torch.tensor([[7, 9, 12, 7, 30], [8, 8, 6, 31, 7]])
SOURCE = torch.tensor([[20, 21, 22], [23, 24, 25]])


@pytest.mark.parametrize("variant", ["decoder", "encoder"])
@pytest.mark.parametrize("mask", [[1, 1, 1, 0, 0], [0, 0, 1, 1, 1]])
def test_an_attention_mask_is_padding(variant: str, mask: list[int], built: Built) -> None:
    model: Any = built(variant)
    keep = torch.tensor([mask, [1] * 5])
    out = model(TOKENS, keep)
    assert out.shape == (2, 5, 32)
    cut = [place for place, one in enumerate(mask) if one]
    torch.testing.assert_close(out[:1, cut], model(TOKENS[:1, cut]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out[1:], model(TOKENS[1:]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mask", [[1, 1, 0], [0, 1, 1]])
def test_both_sides_of_an_encoder_decoder_have_padding(mask: list[int], built: Built) -> None:
    model: Any = built("encoder_decoder")
    keep = torch.tensor([mask, [1] * 3])
    out = model(SOURCE, TOKENS, keep, torch.tensor([[1, 1, 1, 1, 0], [1] * 5]))
    cut = [place for place, one in enumerate(mask) if one]
    torch.testing.assert_close(out[:1, :4], model(SOURCE[:1, cut], TOKENS[:1, :4]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(out[1:], model(SOURCE[1:], TOKENS[1:]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("variant", "causal"), [("decoder", True), ("encoder", False)])
def test_who_sees_whom(variant: str, causal: bool, built: Built) -> None:
    """Read off the model: which tokens change when one does."""
    model = built(variant)
    before = model.compute_hidden(Inputs(TOKENS))
    for changed in range(5):
        other = TOKENS.clone()
        other[:, changed] = 15
        moved = (model.compute_hidden(Inputs(other)) != before).any(dim=-1).all(dim=0)
        assert moved.tolist() == [not causal or place >= changed for place in range(5)]


def test_a_prefix_is_seen_by_all_and_the_rest_is_not(built: Built) -> None:
    model = built("decoder")
    prefix = torch.tensor([3, 1])
    before = model.compute_hidden(Inputs(TOKENS, prefix=prefix))
    for changed in range(5):
        other = TOKENS.clone()
        other[:, changed] = 15
        moved = (model.compute_hidden(Inputs(other, prefix=prefix)) != before).any(dim=-1)
        for row in range(2):
            expected = [changed < int(prefix[row]) or place >= changed for place in range(5)]
            assert moved[row].tolist() == expected


def test_the_decoder_reads_the_whole_source(built: Built) -> None:
    model = built("encoder_decoder")
    before = model.compute_hidden(Inputs(TOKENS, source=SOURCE))
    for changed in range(3):
        other = SOURCE.clone()
        other[:, changed] = 15
        assert (model.compute_hidden(Inputs(TOKENS, source=other)) != before).any(dim=-1).all()


def test_an_encoder_decoder_without_a_source_is_refused(built: Built) -> None:
    with pytest.raises(Refused, match="an encoder_decoder needs a source and a target: got no source"):
        built("encoder_decoder").compute_hidden(Inputs(TOKENS))


@pytest.mark.parametrize("variant", VARIANTS)
def test_stacks_and_components_are_listed(variant: str, built: Built) -> None:
    model = built(variant)
    assert list(model.get_stacks()) == (["encoder", "decoder"] if variant == "encoder_decoder" else [variant])
    assert model.reader is list(model.get_stacks().values())[-1]
    assert len({id(item) for item in model.list_components()}) == len(model.list_components())
    assert sum(p.numel() for item in model.list_components() for p in item.parameters(recurse=True)) > 0


def test_operations_of_a_whole_model_by_hand(built: Built) -> None:
    """dim 16, 2 layers, 4 heads of 4, hidden 24, 32 tokens, rows of 5."""
    layer = 5 * 2 * (4 * 16 * 16 + 2 * 16 * 24)
    head = 5 * 2 * 16 * 32
    assert built("encoder").flops(5, 0) == 2 * (layer + 4 * 16 * 25) + head
    assert built("decoder").flops(5, 0) == 2 * (layer + 4 * 16 * 15) + head
    cross = 5 * 2 * 2 * 16 * 16 + 3 * 2 * 2 * 16 * 16 + 4 * 16 * 15
    source = 2 * (3 * 2 * (4 * 16 * 16 + 2 * 16 * 24) + 4 * 16 * 9)
    assert built("encoder_decoder").flops(5, 3) == source + 2 * (layer + 4 * 16 * 15 + cross) + head
    windowed = built("decoder", attention={"name": "multi_head", "scores": {"window": 2}})
    assert windowed.flops(5, 0) == 2 * (layer + 4 * 16 * 9) + head

"""What every component keeps in every variant: each is put into a small model, one at a time."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from zoo.attend import capture
from zoo.interfaces import Inputs
from zoo.variants.variant import Variant

LENGTH = 10
SOURCE = 6
CLOSE = {"atol": 1e-9, "rtol": 1e-9}


def tokens(length: int, rows: int = 2, seed: int = 0) -> Tensor:
    return torch.randint(6, 32, (rows, length), generator=torch.Generator().manual_seed(seed))


def whole(variant: str, length: int = LENGTH, seed: int = 0) -> Inputs:
    """Rows without padding; the source of an encoder-decoder has another length."""
    source = tokens(SOURCE, seed=seed + 1) if variant == "encoder_decoder" else None
    return Inputs(tokens(length, seed=seed), source=source)


def embedded(model: Variant, inputs: Inputs) -> tuple[Tensor, list[Tensor]]:
    """Hidden states, and the vectors that the embedding gave: of the source first, if there is one."""
    vectors: list[Tensor] = []

    def keep(module: torch.nn.Module, given: object, out: Tensor) -> Tensor:
        vectors.append(out.detach().requires_grad_())
        return vectors[-1]

    handle = model.embedding.register_forward_hook(keep)
    try:
        return model.hidden(inputs), vectors
    finally:
        handle.remove()


def test_shape_and_dtype_are_kept(model: Variant, variant: str) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        hidden = copy.deepcopy(model).to(dtype).hidden(whole(variant))
        assert hidden.shape == (2, LENGTH, 16)
        assert hidden.dtype == dtype
        assert hidden.isfinite().all()


@pytest.mark.variants("decoder", "encoder_decoder")
def test_later_tokens_do_not_reach_back(model: Variant, variant: str) -> None:
    inputs = whole(variant)
    before = model.hidden(inputs)
    for at in (1, 4, LENGTH - 1):
        changed = inputs.tokens.clone()
        changed[:, at:] = tokens(LENGTH - at, seed=5)
        after = model.hidden(replace(inputs, tokens=changed))
        assert torch.equal(before[:, :at], after[:, :at])
        assert not torch.equal(before[:, at:], after[:, at:])


@pytest.mark.variants("decoder", "encoder_decoder")
def test_no_gradient_flows_from_later_tokens(model: Variant, variant: str) -> None:
    hidden, vectors = embedded(model, whole(variant))
    for at in (0, 4):
        (gradient,) = torch.autograd.grad(hidden[:, at].square().sum(), vectors[-1], retain_graph=True)
        assert not gradient[:, at + 1 :].any()
        assert gradient[:, at].any()


def placed(row: Tensor, before: int, after: int) -> tuple[Tensor, Tensor]:
    """A row with other tokens around it, and segments that call them padding."""
    junk = tokens(before + row.shape[1] + after, seed=9)
    junk[:, before : before + row.shape[1]] = row
    segment = torch.full_like(junk, -1)
    segment[:, before : before + row.shape[1]] = 0
    return junk, segment


@pytest.mark.parametrize(("before", "after"), [(3, 1)])
def test_padding_has_no_influence(model: Variant, variant: str, before: int, after: int) -> None:
    inputs = whole(variant)
    padded, segment = placed(inputs.tokens, before, after)
    given = Inputs(padded, segment)
    if inputs.source is not None:
        source, source_segment = placed(inputs.source, after, before)
        given = replace(given, source=source, source_segment=source_segment)
    hidden, vectors = embedded(model, given)
    torch.testing.assert_close(hidden[:, before : before + LENGTH], model.hidden(inputs), **CLOSE)
    hidden[:, before : before + LENGTH].square().sum().backward()
    assert vectors[-1].grad is not None
    assert not vectors[-1].grad[segment < 0].any()


def test_a_row_of_padding_stays_finite(fresh: Callable[..., Variant], variant: str) -> None:
    model = fresh()
    segment = torch.tensor([[0], [-1]]).repeat(1, LENGTH)
    inputs = replace(whole(variant), segment=segment)
    if inputs.source is not None:
        inputs = replace(inputs, source_segment=segment[:, :SOURCE])
    hidden = model.hidden(inputs)
    hidden.square().sum().backward()
    assert hidden.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_packed_documents_are_separate_ones(model: Variant, variant: str) -> None:
    """Two documents in one row, each with its part of the source."""
    first, second = whole(variant, 4), whole(variant, 6, seed=3)
    packed = Inputs(
        torch.cat([first.tokens, second.tokens], dim=1),
        torch.tensor([[0] * 4 + [1] * 6]).repeat(2, 1),
        torch.tensor([[*range(4), *range(6)]]),
    )
    if first.source is not None and second.source is not None:
        packed = replace(
            packed,
            source=torch.cat([first.source, second.source], dim=1),
            source_segment=torch.tensor([[0] * SOURCE + [1] * SOURCE]).repeat(2, 1),
            source_position=torch.tensor([[*range(SOURCE), *range(SOURCE)]]),
        )
    apart = torch.cat([model.hidden(first), model.hidden(second)], dim=1)
    torch.testing.assert_close(model.hidden(packed), apart, **CLOSE)


def cached(model: Variant, inputs: Inputs, chunks: list[int]) -> Tensor:
    """Hidden states of the same tokens, handed over in chunks; the source comes with the first."""
    source = 0 if inputs.source is None else inputs.source.shape[1]
    caches = model.reader.new_caches(inputs.tokens.shape[1], source)
    parts, start = [], 0
    for length in chunks:
        cut = slice(start, start + length)
        here = replace(inputs, tokens=inputs.tokens[:, cut], start=start)
        if inputs.segment is not None:
            here = replace(here, segment=inputs.segment[:, cut])
        if inputs.position is not None:
            here = replace(here, position=inputs.position[:, cut])
        if start:
            here = replace(here, source=None, source_segment=None, source_position=None)
        parts.append(model.hidden(here, caches))
        start += length
    return torch.cat(parts, dim=1)


@pytest.mark.variants("decoder", "encoder_decoder")
@pytest.mark.parametrize("chunks", [[1] * LENGTH, [4, 1, 5]], ids=str)
@torch.no_grad()
def test_cached_is_full(model: Variant, variant: str, chunks: list[int]) -> None:
    inputs = whole(variant)
    torch.testing.assert_close(cached(model, inputs, chunks), model.hidden(inputs), **CLOSE)


@pytest.mark.variants("decoder", "encoder_decoder")
@pytest.mark.parametrize("chunks", [[4] + [1] * 6, [5, 5]], ids=str)
@torch.no_grad()
def test_cached_is_full_where_rows_are_padded_or_packed(model: Variant, variant: str, chunks: list[int]) -> None:
    """The first row is padded on the left, the second holds two documents."""
    segment = torch.tensor([[-1] * 3 + [0] * 7, [0] * 4 + [1] * 6])
    position = torch.tensor([[0] * 3 + [*range(7)], [*range(4), *range(6)]])
    inputs = replace(whole(variant), segment=segment, position=position)
    if inputs.source is not None:
        inputs = replace(inputs, source_segment=torch.tensor([[-1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1]]))
    real = segment >= 0
    torch.testing.assert_close(cached(model, inputs, chunks)[real], model.hidden(inputs)[real], **CLOSE)


@pytest.mark.variants("decoder", "encoder_decoder")
@torch.no_grad()
def test_rows_of_caches_can_be_selected(model: Variant, variant: str) -> None:
    """Beams: after four tokens the second row goes on twice."""
    inputs, rows = whole(variant), torch.tensor([1, 1])
    caches = model.reader.new_caches(LENGTH, SOURCE)
    model.hidden(replace(inputs, tokens=inputs.tokens[:, :4]), caches)
    for cache in caches:
        cache.select(rows)
    rest = model.hidden(Inputs(inputs.tokens[:, 4:], start=4), caches)
    source = None if inputs.source is None else inputs.source[rows]
    both = torch.cat([inputs.tokens[rows, :4], inputs.tokens[:, 4:]], dim=1)
    torch.testing.assert_close(rest, model.hidden(Inputs(both, source=source))[:, 4:], **CLOSE)


def test_every_parameter_gets_a_gradient(fresh: Callable[..., Variant], variant: str) -> None:
    model = fresh()
    weight = torch.linspace(-1, 1, 2 * LENGTH * 32).view(2, LENGTH, 32)
    (model.logits(model.hidden(whole(variant))) * weight).sum().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not idle


def test_eval_is_deterministic(model: Variant, variant: str) -> None:
    assert torch.equal(model.hidden(whole(variant)), model.hidden(whole(variant)))


@pytest.mark.defaults
@pytest.mark.variants("decoder")
def test_equal_seeds_give_equal_weights(fresh: Callable[..., Variant], variant: str) -> None:
    one, other = fresh(), fresh()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.defaults
@pytest.mark.variants("decoder")
def test_weights_survive_a_file(model: Variant, fresh: Callable[..., Variant], variant: str) -> None:
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = fresh()
    for parameter in other.parameters():
        torch.nn.init.zeros_(parameter)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other.hidden(whole(variant)), model.hidden(whole(variant)))


@pytest.mark.variants("encoder_decoder")
@torch.no_grad()
def test_declared_operations_are_counted_ones(model: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all pairs are seen: the counter counts hidden pairs too. Three tokens are within every window."""
    monkeypatch.setattr(model.stacks()["decoder"], "causal", False)
    with capture(), FlopCounterMode(display=False) as counter:
        model.logits(model.hidden(Inputs(tokens(3, rows=1), source=tokens(3, rows=1))))
    assert model.flops(3, 3) == counter.get_total_flops()


@pytest.mark.defaults
@pytest.mark.variants("encoder")
def test_the_fast_kernel_does_the_declared_operations(fresh: Callable[..., Variant]) -> None:
    model = fresh("meta")
    with FlopCounterMode(display=False) as counter:
        model.logits(model.hidden(Inputs(tokens(7, rows=1).to("meta"))))
    assert model.flops(7, 0) == counter.get_total_flops()


@pytest.mark.defaults
@pytest.mark.variants("encoder", "decoder")
def test_it_builds_and_runs_on_the_meta_device(fresh: Callable[..., Variant], variant: str) -> None:
    model = fresh("meta")
    assert {p.device.type for p in model.parameters()} == {"meta"}
    inputs = whole(variant)
    source = None if inputs.source is None else inputs.source.to("meta")
    hidden = model.hidden(Inputs(inputs.tokens.to("meta"), source=source))
    assert (hidden.device.type, hidden.shape) == ("meta", (2, LENGTH, 16))

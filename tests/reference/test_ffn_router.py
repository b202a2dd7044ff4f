"""What a router says of its load: against transformers' loss, the formulas of the papers, and across processes."""

from __future__ import annotations

import copy
import io
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from zoo.components.ffn._router import Router
from zoo.components.ffn.moe import Moe
from zoo.model.mask import Tokens

DIM = 6


def moe(seed: int = 0, experts: int = 5, **router: object) -> Moe:
    torch.manual_seed(seed)
    return Moe(DIM, 4, experts=experts, router=Router(**{"top_k": 2, **router}))  # type: ignore[arg-type]


def rows(length: int, seed: int = 0) -> Tensor:
    return torch.randn(2, length, DIM, generator=torch.Generator().manual_seed(seed))


def padded(segment: list[list[int]]) -> Tokens:
    return Tokens.from_length(len(segment[0]), segment=torch.tensor(segment))


HALF = [[0, 0, 0, -1, -1, -1, -1], [-1, 0, 0, 1, 1, 1, 1]]


@pytest.mark.parametrize("segment", [None, HALF])
@pytest.mark.parametrize("top_k", [2, 3])
def test_the_balancing_loss_is_that_of_transformers(top_k: int, segment: list[list[int]] | None) -> None:
    """Theirs, of each row alone, is ``top_k`` times ours, which is one where load is even; a row weighs its tokens."""
    made, x = moe(top_k=top_k, aux_loss=0.5), rows(7)
    made(x, Tokens.from_length(7) if segment is None else padded(segment))
    (term,) = made.losses().values()
    theirs, tokens = torch.zeros(()), 0
    for row, own in zip(made.router.logits(x), segment or [[0] * 7] * 2, strict=True):
        mask = (torch.tensor([own]) >= 0).long()
        balance = load_balancing_loss_func((row,), 5, top_k, mask)
        assert isinstance(balance, Tensor)
        theirs, tokens = theirs + balance * mask.sum(), tokens + int(mask.sum())
    theirs = theirs / tokens
    torch.testing.assert_close(term, 0.5 * theirs / top_k)
    weight = made.router.logits.weight
    grads = [torch.autograd.grad(loss, [weight])[0] for loss in (term, 0.5 * theirs / top_k)]
    torch.testing.assert_close(*grads)
    assert grads[0].abs().max() > 1e-3


def test_the_balancing_loss_of_sigmoid_scores_takes_their_shares() -> None:
    """Equations 17 to 20 of DeepSeek-V3 (arXiv:2412.19437): of each sequence; then their mean."""
    made, x = moe(score="sigmoid", aux_loss=1.0), rows(7)
    made(x, Tokens.from_length(7))
    total = torch.zeros(())
    for scores in made.router.logits(x).sigmoid():
        for expert in range(5):
            share = sum(float(expert in row.topk(2).indices) for row in scores) * 5 / (2 * len(scores))
            total = total + share * sum(row[expert] / row.sum() for row in scores) / len(scores)
    torch.testing.assert_close(made.losses(), {"load_balance": total / 2})


def test_terms_of_parts_make_the_whole() -> None:
    """Rows alone, weighted by their tokens, have the terms of both together, though their loads differ."""
    made, x = moe(aux_loss=1.0, z_loss=1.0), rows(7)
    made(x, padded(HALF))
    whole, parts = made.losses(), []
    for row, tokens in ((0, 3), (1, 6)):
        made(x[row : row + 1], padded([HALF[row]]))
        parts.append({name: term * tokens / 9 for name, term in made.losses().items()})
    torch.testing.assert_close(whole, {name: parts[0][name] + parts[1][name] for name in whole})


def test_the_z_loss_is_the_formula() -> None:
    made, x = moe(z_loss=0.5), rows(7)
    made(x, padded(HALF))
    real = [
        row for row, s in zip(made.router.logits(x).flatten(0, 1), torch.tensor(HALF).flatten(), strict=True) if s >= 0
    ]
    expected = 0.5 * sum(row.exp().sum().log() ** 2 for row in real) / len(real)
    torch.testing.assert_close(made.losses(), {"router_z": expected})


def test_terms_of_even_load_are_their_weights() -> None:
    made = moe(aux_loss=0.25)
    torch.nn.init.zeros_(made.router.logits.weight)
    made(rows(7), Tokens.from_length(7))
    assert made.losses()["load_balance"].item() == pytest.approx(0.25)


def test_terms_are_handed_out_once_and_in_training_only() -> None:
    made, x = moe(aux_loss=1.0, z_loss=1.0), rows(7)
    assert made.losses() == {}
    made(x, Tokens.from_length(7))
    once = made.losses()
    assert set(once) == {"load_balance", "router_z"}
    assert made.losses() == {}
    made(x, Tokens.from_length(7))
    made(x, Tokens.from_length(7))
    torch.testing.assert_close(made.losses(), {name: 2 * term for name, term in once.items()})
    made.eval()(x, Tokens.from_length(7))
    assert made.losses() == {}
    moe()(x, Tokens.from_length(7))
    assert moe().losses() == {}


def test_a_batch_of_padding_has_finite_terms() -> None:
    made = moe(aux_loss=1.0, z_loss=1.0)
    made(rows(3), padded([[-1] * 3] * 2))
    torch.stack([*made.losses().values()]).sum().backward()
    weight = made.router.logits.weight
    assert weight.grad is not None
    assert not weight.grad.any()


def load(made: Moe, x: Tensor, segment: list[list[int]] | None = None) -> list[int]:
    """Tokens of each expert, counted one by one."""
    assert made.router.correction is not None
    scores = made.router.logits(x).softmax(dim=-1) + made.router.correction
    places = [(b, t) for b in range(2) for t in range(x.shape[1]) if segment is None or segment[b][t] >= 0]
    return [sum(int(e in scores[b, t].topk(2).indices) for b, t in places) for e in range(5)]


@pytest.mark.parametrize("segment", [None, HALF])
def test_the_correction_moves_towards_the_mean(segment: list[list[int]] | None) -> None:
    """Algorithm 1 of arXiv:2408.15664: by the sign of the mean load less the expert's."""
    made, x = moe(correction=0.125), rows(7)
    before = load(made, x, segment)
    made(x, Tokens.from_length(7) if segment is None else padded(segment))
    made.eval()(rows(7, seed=1), Tokens.from_length(7))  # a validation in between has no say
    made.update_after_step()
    mean = sum(before) / 5
    expected = [0.125 * ((mean > one) - (mean < one)) for one in before]
    assert made.router.correction is not None
    assert made.router.correction.tolist() == expected
    assert {-0.125, 0.125} <= set(expected)
    made.update_after_step()
    assert made.router.correction.tolist() == expected


def test_a_correction_of_zero_stays_and_none_is_not_there() -> None:
    made = moe(correction=0.0)
    assert made.router.correction is not None
    made.router.correction.copy_(torch.arange(5))
    made(rows(7), Tokens.from_length(7))
    made.update_after_step()
    assert made.router.correction.tolist() == [0, 1, 2, 3, 4]
    assert "router.correction" not in moe().state_dict()


def two_way() -> Moe:
    """Ones go to the first of two experts, minus ones to the second."""
    made = moe(experts=2, top_k=1, normalize=False, correction=0.125)
    with torch.no_grad():
        made.router.logits.weight[0], made.router.logits.weight[1] = 1.0, -1.0
    return made


def test_micro_batches_are_counted_together() -> None:
    """Two that cancel leave nothing to correct."""
    made = two_way()
    for sign in (1.0, -1.0):
        made(sign * torch.ones(2, 3, DIM), Tokens.from_length(3))
    made.update_after_step()
    assert made.router.correction is not None
    assert made.router.correction.tolist() == [0, 0]


def test_the_correction_chooses_and_does_not_weigh() -> None:
    made, x = moe(correction=0.0).eval(), rows(7)
    made.router.correction = torch.tensor([0.0, 9.0, 0.0, 9.0, 0.0])
    chosen, weights = made.router(x, None)
    assert set(chosen.flatten().tolist()) == {1, 3}
    torch.testing.assert_close(weights, made.router.logits(x).gather(-1, chosen).softmax(dim=-1))


def test_it_survives_files_and_copies() -> None:
    """Also between a forward pass and the step, when terms hang on a graph."""
    made, x = moe(correction=0.125, aux_loss=1.0), rows(7)
    made(x, Tokens.from_length(7))
    made.update_after_step()
    made(x, Tokens.from_length(7))
    other, file = moe(seed=1, correction=0.125, aux_loss=1.0), io.BytesIO()
    torch.save(made.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file))
    copied = copy.deepcopy(made)
    for one in (other, copied):
        assert one.losses() == {}
        assert torch.equal(one.eval()(x, Tokens.from_length(7)), made.eval()(x, Tokens.from_length(7)))
    assert made.losses()


def test_compiled_training_has_the_same_terms_and_gradients() -> None:
    x = rows(7)
    results = []
    for compiled in (False, True):
        made = moe(aux_loss=1.0, z_loss=1.0, correction=0.125)
        torch._dynamo.reset()
        forward = torch.compile(made, backend="eager", fullgraph=True) if compiled else made
        for _ in range(2):
            out = forward(x, padded(HALF))
            terms = made.losses()
            (out.square().sum() + terms["load_balance"] + terms["router_z"]).backward()
            made.update_after_step()
        results.append(([p.grad for p in made.parameters()], terms, made.router.correction))
    torch.testing.assert_close(*results)


def _process(rank: int, world: int, folder: str) -> None:
    """A step of one process, which sees ones if it is the first and minus ones if not."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet{world}", rank=rank, world_size=world)
    made = two_way()
    made((1.0 - 2 * rank) * torch.ones(2, 3, DIM), Tokens.from_length(3))
    made.update_after_step()
    torch.save(made.router.correction, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.parametrize(("world", "expected"), [(1, [-0.125, 0.125]), (2, [0.0, 0.0]), (3, [0.125, -0.125])])
def test_processes_add_up_their_load(world: int, expected: list[float], tmp_path: Path) -> None:
    multiprocessing.start_processes(_process, (world, str(tmp_path)), nprocs=world, start_method="fork")
    for rank in range(world):
        assert torch.load(tmp_path / f"{rank}.pt").tolist() == expected

"""What decides the next token, against plain loops, transformers' processors and the distribution itself."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from scipy.stats import chisquare
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from zoo.checks import Refused
from zoo.generation import Sampling
from zoo.generation.sampling import draw
from zoo.generation.top_k import keep_top_k
from zoo.generation.top_p import keep_top_p

LOGITS = torch.randn(40, 23, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3
CHOICES = [
    {"temperature": 0.3},
    {"temperature": 2.5},
    {"top_k": 1},
    {"top_k": 5},
    {"top_k": 99},
    {"top_p": 0.01},
    {"top_p": 0.6},
    {"top_p": 0.95},
    {"top_p": 1.0},
    {"temperature": 1.7, "top_k": 9, "top_p": 0.8},
]


def plainly(logits: list[float], temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0) -> list[float]:
    """The probabilities of one row, token by token."""
    scaled = {token: math.exp(value / temperature) for token, value in enumerate(logits)}
    order = sorted(scaled, key=lambda token: -scaled[token])[:top_k]
    total = sum(scaled[token] for token in order)
    kept, so_far = [], 0.0
    for token in order:
        if so_far >= top_p and kept:
            break
        kept.append(token)
        so_far += scaled[token] / total
    left = sum(scaled[token] for token in kept)
    return [scaled[token] / left if token in kept else 0.0 for token in scaled]


@pytest.mark.parametrize("how", CHOICES, ids=str)
def test_probabilities_are_those_of_a_plain_loop_and_of_transformers(how: dict[str, float]) -> None:
    found = Sampling(**how).compute_probabilities(LOGITS)  # type: ignore[arg-type]
    plain = torch.tensor([plainly(row, **how) for row in LOGITS.tolist()], dtype=torch.float64)  # type: ignore[arg-type]
    torch.testing.assert_close(found, plain)
    theirs = TemperatureLogitsWarper(how.get("temperature", 1.0))(None, LOGITS)
    if "top_k" in how:
        theirs = TopKLogitsWarper(int(how["top_k"]))(None, theirs)
    if "top_p" in how:
        theirs = TopPLogitsWarper(how["top_p"])(None, theirs)
    torch.testing.assert_close(found, theirs.softmax(dim=-1))


def test_of_equally_likely_tokens_top_k_keeps_all_and_top_p_the_first() -> None:
    logits = torch.tensor([[2.0, 1.0, 2.0, 2.0, 0.0]])
    assert keep_top_k(logits, 2).isfinite().tolist() == [[True, False, True, True, False]]
    assert keep_top_p(logits.clone(), 1e-9).isfinite().tolist() == [[True, False, False, False, False]]
    assert keep_top_p(torch.zeros(1, 4), 0.5).isfinite().tolist() == [[True, True, False, False]]


@pytest.mark.parametrize("how", [{}, {"temperature": 0.5}, {"top_k": 4}, {"top_p": 0.7}], ids=str)
def test_samples_are_distributed_as_the_probabilities(how: dict[str, float]) -> None:
    """Both the first draws of many seeds, and many draws of one seed."""
    logits, count = LOGITS[:1, :7] / 3, 3000
    sampling = Sampling(**how, seed=11)  # type: ignore[arg-type]
    expected = sampling.compute_probabilities(logits)[0]
    one = sampling.make_sampler([0])
    for drawn in (
        sampling.make_sampler(range(count))(logits.expand(count, -1)),
        torch.cat([one(logits) for _ in range(count)]),
    ):
        seen = Counter(drawn.tolist())
        possible = [token for token, value in enumerate(expected.tolist()) if value > 0]
        assert set(seen) <= set(possible)
        test = chisquare([seen[token] for token in possible], [float(expected[token]) * count for token in possible])
        assert test.pvalue > 0.001
        uniform = chisquare([seen[token] for token in possible])
        assert uniform.pvalue < 1e-6  # which another distribution does not pass


def test_what_a_row_draws_depends_on_its_sample_alone() -> None:
    sampling = Sampling(seed=5)
    together = sampling.make_sampler([0, 1, 0, 2])
    alone = [Sampling(seed=5 + sample).make_sampler([0]) for sample in (0, 1, 0, 2)]
    rows = []
    for step in range(8):
        logits = LOGITS[step : step + 4]
        rows.append(together(logits).tolist())
        assert rows[-1] == [int(choose(logits[row : row + 1])) for row, choose in enumerate(alone)]
    assert len({tuple(row) for row in rows}) == 8


def test_a_token_without_probability_is_never_drawn() -> None:
    """Not even by the largest number that can be drawn, or by zero."""

    class Stream(torch.Generator):
        pass

    probabilities = torch.tensor([[0.0, 0.1, 0.0, 0.9, 0.0]], dtype=torch.float64)
    for value, token in ((0.0, 1), (0.05, 1), (0.1, 3), (1.0 - 2**-53, 3), (1.0, 3)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "rand", lambda *_, value=value, **__: torch.tensor(value, dtype=torch.float64))
            assert draw(probabilities, [Stream()]).tolist() == [token]


def test_all_that_makes_no_sense_is_refused_at_once() -> None:
    with pytest.raises(Refused) as refusal:
        Sampling(temperature=0.0, top_k=0, top_p=1.5, seed=-1)
    assert [line.split(":")[0] for line in str(refusal.value).splitlines()] == ["temperature", "top_k", "top_p", "seed"]
    assert "got 1.5" in str(refusal.value)

from __future__ import annotations

import itertools

import torch

from zoo.training.random_streams import derive_seed, make_generator


def test_streams_differ_by_seed_name_and_number() -> None:
    uses = list(itertools.product((0, 1, 12), ("weights", "order", "dropout"), ((), (0,), (1,), (1, 0), (10,), (1, 1))))
    seeds = {derive_seed(seed, name, *numbers) for seed, name, numbers in uses}
    assert len(seeds) == len(uses)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_stream_depends_on_its_arguments_alone() -> None:
    first = torch.rand(5, generator=make_generator(3, "objective", 7))
    torch.manual_seed(99)
    assert torch.equal(first, torch.rand(5, generator=make_generator(3, "objective", 7)))
    assert not torch.equal(first, torch.rand(5, generator=make_generator(3, "objective", 8)))

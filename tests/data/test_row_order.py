from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.checks import Refused
from zoo.data.row_order import draw_row_indices, shuffle_rows


@given(rows=st.integers(1, 300), seed=st.integers(0, 2**32), epoch=st.integers(0, 100))
def test_order_is_a_permutation(rows: int, seed: int, epoch: int):
    assert sorted(shuffle_rows(rows, seed, epoch)) == list(range(rows))


def test_epochs_and_seeds_differ():
    orders = {tuple(shuffle_rows(50, seed, epoch)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16


@given(rows=st.integers(1, 40), batch=st.integers(1, 100), seed=st.integers(0, 9))
def test_batches_in_a_row_are_the_epochs_in_a_row(rows: int, batch: int, seed: int):
    steps = 3 * rows // batch + 1
    stream = np.concatenate([draw_row_indices(rows, batch, seed, step) for step in range(steps)])
    epochs = np.concatenate([shuffle_rows(rows, seed, epoch) for epoch in range(len(stream) // rows + 1)])
    assert stream.tolist() == epochs[: len(stream)].tolist()


def test_a_batch_does_not_depend_on_what_was_asked_before():
    later = draw_row_indices(10, 4, 3, 7).tolist()
    shuffle_rows.cache_clear()
    assert draw_row_indices(10, 4, 3, 7).tolist() == later


def test_the_cached_order_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        shuffle_rows(5, 0, 0)[0] = 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0, 1, 0, 0), "rows=0"), ((5, 0, 0, 0), "batch=0"), ((5, 1, -1, 0), "seed=-1"), ((5, 1, 0, -2), "step=-2")],
)
def test_bad_arguments_are_refused(arguments: tuple[int, int, int, int], message: str):
    with pytest.raises(Refused, match=message):
        draw_row_indices(*arguments)

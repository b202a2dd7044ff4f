from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import zoo.checks
from zoo.checks import Refused
from zoo.data.split import hash_to_fraction, require_fraction, select_held_out


def test_share_is_spread_evenly():
    shares = [hash_to_fraction(str(number)) for number in range(4000)]
    assert all(0 <= value < 1 for value in shares)
    for low in (0.0, 0.25, 0.5, 0.75):
        assert 850 < sum(low <= value < low + 0.25 for value in shares) < 1150


def test_side_does_not_depend_on_the_other_keys():
    keys = [f"key {number}" for number in range(500)]
    assert select_held_out(keys, 0.2) & set(keys[:100]) == select_held_out(keys[:100], 0.2)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_something_is_held_out_of_few(count: int):
    assert len(select_held_out([str(number) for number in range(count)], 1e-9)) == 1


def test_nothing_is_held_out_of_nothing():
    assert select_held_out([], 0.5) == frozenset()


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1.5, float("nan")])
def test_a_fraction_that_empties_a_split_is_refused(fraction: float):
    with pytest.raises(Refused, match=f"validation={fraction}"):
        require_fraction(fraction)


def test_splits_are_the_same_in_every_process(tmp_path: Path):
    for number in range(40):
        (tmp_path / f"{number}.txt").write_text(f"text {number}")
    code = (
        "import sys, hashlib\n"
        "from zoo.components.data.text import Text\n"
        "from zoo.components.data.numbers import Numbers\n"
        "text, numbers = Text(path=sys.argv[1], validation=0.3), Numbers(limit=300)\n"
        "print(list(text.documents('validation')), list(numbers.pairs('validation')))\n"
        "print(list(text.documents('train')), text.identity(), numbers.identity())"
    )
    outputs = [_run(code, str(tmp_path), hash_seed) for hash_seed in ("0", "1")]
    assert outputs[0] == outputs[1]
    assert "text" in outputs[0]


def _run(code: str, argument: str, hash_seed: str) -> str:
    root = Path(zoo.checks.__file__).parents[1]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)}
    command = [sys.executable, "-c", code, argument]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

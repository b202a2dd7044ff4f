"""Filters against Python's own reading of the same lines, and what they refuse."""

from __future__ import annotations

import itertools

import pytest

from zoo.checks import Refused
from zoo.study.plan.filters import read_filter

NORMS, RATES = ("rms", "layer", "dyt"), (0.001, 0.01)
NAMES = ("task", "arm", "size", "seed", "norm", "lr", "encoder.norm")


def holds(line: str, **known: object) -> bool:
    problems: list[str] = []
    found = read_filter(line, "where[0]", NAMES, NORMS, problems)
    assert problems == []
    return found.is_met(known)


@pytest.mark.parametrize(
    ("line", "python"),
    [
        ("norm != dyt or lr < 0.01", "norm != 'dyt' or lr < 0.01"),
        ("not (norm == rms and lr >= 1e-2)", "not (norm == 'rms' and lr >= 1e-2)"),
        ("norm in [rms, 'layer'] and 0.0005 < lr < .005", "norm in ['rms', 'layer'] and 0.0005 < lr < .005"),
        ("norm not in (rms,) or not lr > -1", "norm not in ('rms',) or not lr > -1"),
        ("norm == rms or norm == dyt and lr == 0.001", "norm == 'rms' or norm == 'dyt' and lr == 0.001"),
        ("(norm == rms or norm == dyt) and lr <= 0.001", "(norm == 'rms' or norm == 'dyt') and lr <= 0.001"),
    ],
)
def test_lines_mean_what_they_mean_in_python(line: str, python: str) -> None:
    told = [holds(line, norm=norm, lr=lr) for norm, lr in itertools.product(NORMS, RATES)]
    expected = [eval(python, {"norm": norm, "lr": lr}) for norm, lr in itertools.product(NORMS, RATES)]
    assert told == expected
    assert len(set(told)) == 2


def test_values_of_configs_are_known() -> None:
    assert holds("size == null and norm != true", size=None, norm=False)
    assert holds("encoder.norm == rms", **{"encoder.norm": "rms"})
    assert holds("seed in [1, 2]", seed=2)
    assert not holds("arm == '+ rms'", arm="+ dyt")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("nrm == rms", "unknown name 'nrm': did you mean norm? choices: arm, dyt"),
        ("norm == rsm", "unknown name 'rsm': did you mean rms?"),
        ("norm = rms", "cannot be read: invalid syntax"),
        ("lr <", "cannot be read: invalid syntax"),
        ("", "cannot be read: invalid syntax"),
        ("norm", "norm must be a comparison, or several with not, and, or"),
        ("not norm", "norm must be a comparison"),
        ("len(norm) == 3", "len(norm) must be a name, a value or a list"),
        ("norm.__class__ == rms", "unknown name 'norm.__class__'"),
        ("lr * 2 > 1", "lr * 2 must be a name, a value or a list"),
        ("norm in rms", "rms must be a list"),
        ("(lr < 1) == true", "lr < 1 must be a name, a value or a list"),
        ("norm is rms", "norm is rms must be a comparison, or several with not, and, or"),
        ("__import__('os').system('x')", "must be a comparison"),
    ],
)
def test_what_else_is_written_is_refused(line: str, told: str) -> None:
    problems: list[str] = []
    read_filter(line, "where[2]", NAMES, NORMS, problems)
    assert any(problem.startswith("where[2]: ") and told in problem for problem in problems), problems
    assert all(problem.endswith(f"got {line!r}") for problem in problems)


def test_what_cannot_be_compared_is_told() -> None:
    with pytest.raises(Refused, match=r"where: 'rms' and 0\.01 cannot be compared: got 'norm < 0\.01'"):
        holds("norm < 0.01", norm="rms")

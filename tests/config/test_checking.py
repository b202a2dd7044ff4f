"""The hash of a config: equal computations are one run, and nothing else is."""

from __future__ import annotations

import pytest

from tests.command import ON_CPU, checked
from zoo.config.checking import check_run
from zoo.config.compose import compose_run

BASE = ["model=llama", "data=numbers", *ON_CPU]


@pytest.fixture(scope="module")
def base() -> str:
    return checked(*BASE).hash


@pytest.mark.parametrize(
    "overrides",
    [
        ["model.position.base=10000"],
        ["steps=500.0", "clip=1"],
        ["runs=elsewhere", "cache=/tmp/other", "checkpoint=7", "label=named"],
        ["logger=tensorboard"],
        ["model.dropout=0", "model.attention.scores={}"],
        ["objective=prefix_lm"],
    ],
    ids=" ".join,
)
def test_what_means_the_same_is_the_same_run(overrides: list[str], base: str) -> None:
    assert checked(*BASE, *overrides).hash == base


@pytest.mark.parametrize(
    "overrides",
    [
        ["seed=1"],
        ["steps=501"],
        ["model.position.base=10001"],
        ["data.limit=9999"],
        ["optimizer.lr=0.002"],
        ["schedule=constant"],
        ["model.exceptions.a={first: 1, hidden: 8}"],
        ["precision=bf16-mixed"],
        ["objective=causal_lm"],
    ],
    ids=" ".join,
)
def test_what_means_another_thing_is_another_run(overrides: list[str], base: str) -> None:
    assert checked(*BASE, *overrides).hash != base


def test_defaults_are_filled_in_and_auto_is_replaced() -> None:
    config = checked("model=llama", "data=numbers", "trainer=cpu").config
    assert config.objective.name == "prefix_lm"
    assert config.precision in ("32-true", "bf16-mixed")
    assert config.model.options["attention"]["bias"] == "none"
    assert config.data.source.options["validation"] == 0.1


@pytest.mark.parametrize(
    ("variant", "form", "objective"),
    [
        ("decoder", "documents", "causal_lm"),
        ("decoder", "pairs", "prefix_lm"),
        ("encoder", "documents", "masked_lm"),
        ("encoder", "pairs", "masked_lm"),
        ("encoder_decoder", "documents", "span_corruption"),
        ("encoder_decoder", "pairs", "seq2seq"),
    ],
)
def test_each_variant_has_its_own_objective_and_refuses_those_that_make_no_sense(
    variant: str, form: str, objective: str
) -> None:
    from zoo.registry import get_index

    data = {"documents": "pydocs", "pairs": "numbers"}[form]
    given = compose_run([f"data={data}", "model.position.length=2048"])
    given["model"]["variant"] = variant
    for name in [None, *get_index().get_names("objective")]:
        found = check_run({**given, "objective": {"name": name}})
        works = name is None or (variant, form) in get_index().get("objective", name).load().combines
        if works:
            assert found.problems == ()
            assert found.config.objective.name == (name or objective)
        else:
            (problem,) = found.problems
            reason = get_index().get("objective", name).load().reason
            assert problem.startswith(f"objective: {name} makes no sense for {variant} with {form}: {reason}; it works")


def test_options_that_are_missing_are_told() -> None:
    assert "steps: must be given (int)" in check_run({}).problems
    assert any(problem.startswith("optimizer._target_: must name") for problem in check_run({}).problems)


def test_all_positions_a_run_needs_are_checked() -> None:
    """Span corruption in a decoder reads more than a row of data."""
    given = compose_run(["objective=span_corruption", "data.length=100", "model.position.length=100"])
    (problem,) = check_run(given).problems
    assert problem.startswith("model.position: learned has 100 positions: rows of data.length=100 become up to")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("trainer.devices=-3", "trainer.devices: must be positive, or -1 for all devices: got -3"),
        ("trainer.devices=0", "trainer.devices: must be positive, or -1 for all devices: got 0"),
        ("trainer.devices='-2'", "trainer.devices: must be positive, or -1 for all devices: got -2"),
        ("trainer.devices=[]", "trainer.devices: must be a list of numbers of devices, from 0 on: got []"),
        ("trainer.devices=[0,-1]", "trainer.devices: must be a list of numbers of devices, from 0 on: got [0, -1]"),
        ("++trainer.num_nodes=0", "trainer.num_nodes: must be positive: got 0"),
    ],
)
def test_devices_that_are_none_are_refused_before_lightning_is_asked(line: str, problem: str) -> None:
    assert check_run(compose_run(["trainer=cpu", line])).problems == (problem,)


@pytest.mark.parametrize("line", ["trainer.devices=1", "trainer.devices=-1", "trainer.devices=auto"])
def test_devices_that_lightning_knows_are_left_to_it(line: str) -> None:
    assert check_run(compose_run(["trainer=cpu", line])).problems == ()

"""Plans expanded: what is checked, what does not apply, what is matched, and what filters leave out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.study.plan.test_study_file import written
from zoo.checks import Refused
from zoo.study.cells.expand_plan import expand_plan
from zoo.study.cells.expansion import Expansion
from zoo.study.cells.load_plan import read_study

NUMBERS = {"metrics": ["loss"], "overrides": {"data": "numbers"}}
TEXTS = {"metrics": ["loss"], "overrides": {"data": "pycode"}}


@pytest.fixture
def expanded(tmp_path: Path) -> Any:
    def expanding(*further: str, **over: Any) -> Expansion:
        return expand_plan(read_study(written(tmp_path, **over)), further)

    return expanding


def refused(expanded: Any, *further: str, **over: Any) -> list[str]:
    with pytest.raises(Refused) as told:
        expanded(*further, **over)
    return str(told.value).splitlines()


def names(expansion: Expansion) -> list[str]:
    return [f"{setting.task} {setting.arm}" for setting in expansion.settings]


def test_each_layer_is_written_over_the_one_before(expanded: Any) -> None:
    arms = {"two": {}, "rotary": {"model/position": "rotary", "steps": 3}}
    tasks = {"numbers": {**NUMBERS, "overrides": {"data": "numbers", "steps": 2, "batch": 2}}}
    found = expanded("batch=4", arms=arms, tasks=tasks, sizes={"small": {"model.dim": 32, "model.heads": 2}})
    two, rotary = (setting.checked.config for setting in found.settings)
    assert [(c.steps, c.batch, c.model.dim) for c in (two, rotary)] == [(2, 4, 32), (3, 4, 32)]
    assert two.model.options["position"]["name"] == "learned"
    assert two.model.options["position"]["length"] == 64
    assert rotary.model.options["position"]["name"] == "rotary"  # and no length of the one before
    assert [cell.name for cell in found.build_cells([1, 5])][:2] == [
        "numbers small two seed 1",
        "numbers small two seed 5",
    ]


# ------------------------------------------------------------------------------------------------ does not apply


def test_an_arm_that_applies_to_some_tasks_is_no_mistake(expanded: Any) -> None:
    arms = {"two": {}, "delta": {"model/attention": "gated_delta", "model/position": "none"}}
    found = expanded(arms=arms, tasks={"numbers": NUMBERS, "texts": TEXTS})
    assert names(found) == ["numbers two", "texts two", "texts delta"]
    ((arm, task, why),) = found.not_applicable
    assert (arm, task) == ("delta", "numbers")
    assert "gated_delta does not support prefix masks, which this objective and data need" in why
    (told,) = refused(expanded, arms=arms)
    assert told.startswith("numbers delta: model.attention: gated_delta does not support prefix masks")
    (told,) = refused(expanded, arms=arms, baseline="delta", tasks={"numbers": NUMBERS, "texts": TEXTS})
    assert told.startswith("numbers: the baseline delta cannot be built: model.attention: gated_delta does not")


def test_combinations_that_make_no_sense_do_not_apply(expanded: Any) -> None:
    grid = {"model.heads": [1, 3], "model/norm": ["layer", "rms"]}
    found = expanded(grid=grid, arms=..., baseline=...)
    assert names(found) == ["numbers heads=1, norm=layer", "numbers heads=1, norm=rms"]
    assert [arm for arm, _, _ in found.not_applicable] == ["heads=3, norm=layer", "heads=3, norm=rms"]
    assert "heads=3, dim=128" in found.not_applicable[0][2]
    (told,) = refused(expanded, grid={"model.heads": [3, 5]}, arms=..., baseline=...)
    assert told.startswith("numbers: no arm is left: model.heads: heads must divide dim")
    (told,) = refused(expanded, grid={"model.heads": [4, 5]}, arms=..., baseline="heads=4")
    assert told.startswith("no arm is left to compare with heads=4: numbers heads=5: model.heads: heads must divide")
    told = refused(expanded, grid={"model.headz": [1, 2]}, arms=..., baseline=...)
    assert [line.split(": ")[:2] for line in told] == [
        ["numbers headz=1", "model.headz"],
        ["numbers headz=2", "model.headz"],
    ]


def test_steps_of_a_path_that_cannot_be_or_change_nothing_are_passed_over(expanded: Any) -> None:
    path = {
        "from": "local_global",
        "to": "gpt",
        "order": ["layers", "exceptions", "head", "hidden", "attention", "ffn", "norm", "position"],
    }
    common = {"overrides": {"data.length": 64}, "arms": ..., "baseline": ..., "path": path}
    found = expanded("model.hidden=64", **common)
    assert names(found) == [
        *("numbers local_global", "numbers + exceptions", "numbers + head.tied=true", "numbers + attention=multi_head"),
        *("numbers + ffn=mlp", "numbers + norm=layer", "numbers + position=learned"),
    ]
    assert found.not_applicable == (
        ("+ layers=4", "numbers", "model.exceptions.global: must match a layer: got none of 4 layers"),
        ("+ hidden=1024", "numbers", "it changes nothing: it is the same run as + head.tied=true"),
    )


# ---------------------------------------------------------------------------------------------- refused and matched


def test_arms_that_are_one_run_are_refused(expanded: Any) -> None:
    (told,) = refused(expanded, arms={"two": {}, "again": {"model.heads": 4.0, "checkpoint": 7}})
    assert told == "numbers again is the same run as numbers two: arms must differ"
    told = refused(expanded, sizes={"small": {}, "large": {"checkpoint": 5}})
    assert told[0] == "numbers large two is the same run as numbers small two: arms must differ"


def test_arms_are_matched_to_the_baseline(expanded: Any) -> None:
    arms = {"two": {}, "gated": {"model/ffn": "gated"}, "rms": {"model/norm": "rms"}}
    found = expanded(arms=arms, match="parameters")
    moved = found.matches["gated", "numbers"]
    assert (moved.quantity, moved.knob, moved.before) == ("parameters", "model.hidden", 512)
    assert abs(moved.reached / moved.target - 1) < 0.005
    gated = found.settings[1]
    assert gated.checked.config.model.options["hidden"] == moved.after
    assert gated.overrides[-1] == f"model.hidden={moved.after}"
    assert set(found.matches) == {("gated", "numbers"), ("rms", "numbers")}
    (told,) = refused(expanded, arms=arms, match={"quantity": "parameters", "knob": "experts"})[:1]
    assert told.startswith("numbers gated: match.knob: experts sets model.ffn.experts, but ffn=gated has no experts")


def test_learning_rates_are_for_the_study_to_choose(expanded: Any) -> None:
    arms = {"two": {}, "hot": {"optimizer.lr": 0.1}, "warm": {"optimizer": {"lr": 0.2}}}
    assert refused(expanded, arms=arms, learning_rates=[0.1, 0.2]) == [
        "numbers hot: optimizer.lr: is chosen by learning_rates: no arm may set it",
        "numbers warm: optimizer.lr: is chosen by learning_rates: no arm may set it",
    ]
    told = refused(expanded, "optimizer.lr=1", learning_rates=[0.1, 0.2])
    assert told == ["optimizer.lr: is chosen by the learning_rates of the study: got optimizer.lr=1"]
    none = {"~optimizer.lr": None, "~optimizer.weight_decay": None}
    told = refused(expanded, arms={"two": none, "one": {**none, "model.heads": 1}}, learning_rates=[0.1, 0.2])
    assert told[0] == "numbers two: learning_rates: the optimizer has no lr: got torch.optim.AdamW"


def test_a_seed_is_not_an_override(expanded: Any) -> None:
    assert refused(expanded, "seed=3") == ["seed: is set by the seeds of the study: got seed=3"]


# -------------------------------------------------------------------------------------------------------- filters


def test_filters_leave_out_arms_sizes_and_seeds(expanded: Any) -> None:
    over = {
        "seeds": [1, 2, 3],
        "sizes": {"small": {}, "large": {"model.dim": 64}},
        "where": ["arm == two or size == small"],
    }
    found = expanded(**over)
    assert names(found) == ["numbers small two", "numbers small one", "numbers large two"]
    assert found.left_out == (("one", "numbers large", (1, 2, 3)),)
    over["where"].append("arm != one or seed != 2")
    found = expanded(**over)
    assert [(cell.arm, cell.seed) for cell in found.build_cells([1, 2, 3]) if cell.task == "numbers small"] == [
        *(("two", 1), ("two", 2), ("two", 3), ("one", 1), ("one", 3)),
    ]
    assert ("one", "numbers small", (2,)) in found.left_out
    (told,) = refused(expanded, where="arm != two")
    assert told == "numbers: the baseline two cannot be built: filters exclude it"
    told = refused(expanded, where="arm < 3")
    assert told[0] == "where: 'two' and 3 cannot be compared: got 'arm < 3'"

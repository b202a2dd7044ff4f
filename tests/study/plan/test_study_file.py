"""Studies as they are written: what is read, and every mistake at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from zoo.checks import Refused
from zoo.study.cells.expand_plan import expand_plan
from zoo.study.cells.load_plan import load_plan, read_study
from zoo.study.plan.controls import Matching, Rates
from zoo.study.plan.find_study import find_study
from zoo.study.plan.study_plan import StudyPlan

STUDY: dict[str, Any] = {
    "question": "Does it matter?",
    "baseline": "two",
    "seeds": [1],
    "overrides": {"model": "gpt/tiny", "model.position.length": 64, "data.length": 64},
    "arms": {"two": {}, "one": {"model.heads": 1}},
    "tasks": {"numbers": {"metrics": ["loss"], "overrides": {"data": "numbers"}}},
}


def written(into: Path, **over: Any) -> Path:
    given = {key: value for key, value in {**STUDY, **over}.items() if value is not ...}
    path = into / "study.yaml"
    path.write_text(yaml.safe_dump(given, sort_keys=False))
    return path


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def reading(**over: Any) -> StudyPlan:
        return read_study(written(tmp_path, **over))

    return reading


# ----------------------------------------------------------------------------------------------------------- read


@pytest.mark.parametrize(
    ("given", "seeds", "until_decided"),
    [
        ({"seeds": [3, 7]}, (3, 7), False),
        ({"seeds": 3}, (1, 2, 3), False),
        ({"seeds": "until_decided"}, tuple(range(1, 21)), True),
        ({"seeds": "until_decided", "max_seeds": 5}, (1, 2, 3, 4, 5), True),
    ],
)
def test_seeds(read: Any, given: Any, seeds: Any, until_decided: bool) -> None:
    plan = read(**given)
    assert (plan.seeds, plan.until_decided) == (seeds, until_decided)


@pytest.mark.parametrize(
    ("given", "matching"),
    [
        ("parameters", Matching("parameters", "hidden")),
        ({"quantity": "flops_per_token", "knob": "depth"}, Matching("flops_per_token", "depth")),
        ("none", None),
        (None, None),
    ],
)
def test_match(read: Any, given: Any, matching: Any) -> None:
    assert read(match=given).matching == matching


def test_learning_rates(read: Any, tmp_path: Path) -> None:
    assert read(learning_rates=[0.001, 1]).rates == Rates((0.001, 1.0), (101,))
    assert read(learning_rates={"values": [0.1, 0.2], "seeds": [8, 9]}).rates == Rates((0.1, 0.2), (8, 9))
    path = written(tmp_path)
    path.write_text(path.read_text() + "learning_rates: [1e-3, 3E-3]\n")  # which YAML 1.1 takes for texts
    assert read_study(path).rates == Rates((0.001, 0.003), (101,))


def test_each_task_is_there_once_a_size(read: Any) -> None:
    tasks = {
        "a": {"metrics": ["loss"], "margin": 1, "overrides": {"model.dim": 8, "data": "numbers"}},
        "b": STUDY["tasks"]["numbers"],
    }
    plan = read(tasks=tasks, sizes={"small": {"model.dim": 16}, "large": {"model.dim": 32}})
    assert [(task.name, task.of, task.size) for task in plan.tasks] == [
        *(("a small", "a", "small"), ("a large", "a", "large")),
        *(("b small", "b", "small"), ("b large", "b", "large")),
    ]
    assert plan.tasks[1].overrides == {"data": "numbers", "model.dim": 32}
    assert (plan.tasks[1].margin, plan.tasks[3].margin) == (1.0, None)


def test_keys_are_what_is_written(tmp_path: Path) -> None:
    text = yaml.safe_dump({**STUDY, "arms": None, "baseline": None}, sort_keys=False)
    path = tmp_path / "study.yaml"
    path.write_text(text.replace("arms: null", "arms: {off: {}, on: {model.heads: 1}, 1: {model.layers: 1}}"))
    assert list(read_study(path).arms) == ["off", "on", "1"]
    path.write_text(text.replace("arms: null", "arms: {off: {}, on: {model.heads: 1}, on: {model.layers: 1}}"))
    with pytest.raises(Refused, match="is not YAML: duplicate key on"):
        read_study(path)


def test_kinds_bring_their_baseline_unless_one_is_named(read: Any) -> None:
    pairs = {"pairs": {"n": {"rms": {"model/norm": "rms"}}, "f": {"gated": {"model/ffn": "gated"}}}, "arms": ...}
    assert read(**pairs, baseline=...).baseline == "baseline"
    assert read(**pairs, baseline="rms").baseline == "rms"
    grid = read(grid={"model/norm": ["rms", "layer"]}, arms=..., baseline="norm=rms", where="norm == rms or seed < 5")
    assert (grid.baseline, grid.kind, len(grid.where)) == ("norm=rms", "grid", 1)


# -------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"sedes": [1]}, "sedes: unknown key: did you mean seeds? choices: arms, baseline"),
        ({"question": ...}, "question: must be given (str)"),
        ({"arms": ...}, "a study must have exactly one of arms, grid, one_at_a_time, pairs, path: got none"),
        (
            {"grid": {"steps": [1]}},
            "a study must have exactly one of arms, grid, one_at_a_time, pairs, path: got arms, g",
        ),
        ({"tasks": {}}, "tasks: must have at least one task"),
        ({"tasks": {"t": {"metrics": []}}}, "tasks.t.metrics: must have at least one metric: got []"),
        ({"tasks": {"t": {"metrics": ["loss"], "margin": 0}}}, "tasks.t.margin: must be above 0: got 0"),
        (
            {"tasks": {"t": {"metrics": ["loss"], "margin": 1, "comparable": False}}},
            "tasks.t.margin: requires compar",
        ),
        ({"tasks": {"t": {"metrics": ["loss"], "metric": 1}}}, "tasks.t.metric: unknown key: did you mean metrics?"),
        ({"tasks": {"t": {"metrics": "loss"}}}, "tasks.t.metrics: must be a list of str: got 'loss'"),
        ({"sizes": {}}, "sizes: must not be empty"),
        ({"overrides": [1]}, "overrides: must be a mapping: got [1]"),
        ({"overrides": {"seed": 3}}, "overrides.seed: is set by the seeds of the study: got 3"),
        ({"baseline": "tow"}, "baseline: unknown arm 'tow': did you mean two? choices: one, two"),
        ({"seeds": ...}, "seeds: must be a list of int, the number of seeds, or until_decided: got nothing"),
        ({"seeds": "three"}, "seeds: must be a list of int, the number of seeds, or until_decided: got 'three'"),
        ({"seeds": 0}, "seeds: must be at least 1: got 0"),
        ({"seeds": True}, "seeds: must be a list of int, the number of seeds, or until_decided: got True"),
        ({"seeds": []}, "seeds: must be one or more distinct numbers: got []"),
        ({"seeds": [1, 2, 1]}, "seeds: must be one or more distinct numbers: got [1, 2, 1]"),
        ({"seeds": [1, "2"]}, "seeds[1]: must be an int: got '2'"),
        ({"max_seeds": 9}, "max_seeds: requires seeds: until_decided: got max_seeds=9"),
        (
            {"seeds": "until_decided", "max_seeds": 3},
            "max_seeds: must be at least 4, as fewer seeds give no verdict: got 3",
        ),
        ({"seeds": "until_decided", "baseline": None}, "seeds: until_decided: needs a baseline to compare with"),
        ({"match": "parameters", "baseline": None}, "match: needs a baseline to compare with: choices: one, two"),
        ({"match": "paramters"}, "match.quantity: unknown quantity 'paramters': did you mean parameters? choices: ac"),
        ({"match": {"quantity": "parameters", "knob": "hiden"}}, "match.knob: unknown knob 'hiden': did you mean hi"),
        ({"match": {"knob": "hidden"}}, "match.quantity: must be given (str)"),
        ({"learning_rates": [0.1, 0]}, "learning_rates: must be two or more distinct numbers above 0: got [0.1, 0.0]"),
        ({"learning_rates": [0.1, 0.1]}, "learning_rates: must be two or more distinct numbers above 0"),
        ({"learning_rates": [0.1]}, "learning_rates: must be two or more distinct numbers above 0: got [0.1]"),
        ({"learning_rates": {"values": [1, 2], "seeds": [1]}}, "learning_rates.seeds: must be one or more distinct s"),
        ({"learning_rates": 0.1}, "learning_rates.values: must be a list of float: got 0.1"),
        ({"where": "hidden == 3"}, "where[0]: unknown name 'hidden': choices: arm, numbers, one, seed, size, task, t"),
        ({"arms": {"two": {}, "${a}": {"steps": 1}}}, "${a}: a name must not contain ${"),
        ({"where": 3}, "where: must be a list of str: got 3"),
        (
            {"seeds": "until_decided", "where": "seed < 3"},
            "where: must not use seed with seeds: until_decided",
        ),
    ],
)
def test_a_mistake_is_told_with_its_value(
    read: Any, tmp_path: Path, given: Any, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "zoo.study.cells.load_plan._find_arm_problems", lambda plan: []
    )  # what is wrong with arms too takes seconds
    with pytest.raises(Refused) as refused:
        read(**given)
    lines = str(refused.value).splitlines()
    assert sum(line.startswith(f"{tmp_path / 'study.yaml'}: {told}") for line in lines) == 1, lines
    assert len([line for line in lines if line.startswith(str(tmp_path))]) == 1, lines


def test_all_mistakes_are_told_at_once_also_those_of_arms(read: Any, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        read(sedes=1, match="size", arms={"two": {}, "a": {"model/ffn": "gatd", "model.dim": "x"}}, where="x == 1")
    told = [
        line.removeprefix(f"{tmp_path / 'study.yaml'}: ").split(": ")[0] for line in str(refused.value).splitlines()
    ]
    assert told == ["sedes", "match.quantity", "where[0]", "numbers a", "numbers a"]


@pytest.mark.parametrize(("text", "told"), [("- a\n", "must be a mapping: got list"), ("a: [\n", "is not YAML")])
def test_what_is_no_study_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(Refused, match=told):
        read_study(tmp_path / "study.yaml")


def test_a_study_is_found_by_name_folder_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    path = written(tmp_path / "mine")
    for name in ("mine", "mine/study.yaml", str(path)):
        assert find_study(name).resolve() == path
    assert load_plan("mine").name == "mine"
    assert find_study("three_variants").parent.name == "three_variants"
    assert find_study("lecture/residual_connections").parent.name == "residual_connections"
    for wrong, right in (("three_variant", "three_variants"), ("lecture/residual", "lecture/residual_connections")):
        with pytest.raises(Refused, match=rf"unknown study '{wrong}': did you mean {right}\?"):
            find_study(wrong)


# --------------------------------------------------------------------------------------------------------- limits

_BOMB = "\n".join(
    [
        "a0: &a0 [x, x, x, x, x, x, x, x, x, x]",
        *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)),
    ]
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (_BOMB, "must contain at most 100000 values, aliases expanded"),
        ("a: &a [*a]", "must contain at most 100000 values, aliases expanded"),
        ("a: " + "[" * 5_000, "is nested too deeply"),
        ("a: 2001-99-99\nb: !!timestamp 2001-99-99", "is not YAML"),
        ("a: " + "9" * 5_000, "is not YAML: Exceeds the limit"),
        ("a: '" + "x" * 2**20 + "'", "must have at most 1048576 bytes: got 1048581"),
    ],
    ids=["aliases", "cycle", "nested", "date", "long number", "long file"],
)
def test_a_file_that_never_ends_is_refused(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(Refused, match=told) as refused:
        read_study(tmp_path / "study.yaml")
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"seeds": 1_000_000}, "seeds: must be at most 1000 seeds: got 1000000"),
        ({"seeds": list(range(1_001))}, "seeds: must be at most 1000 seeds: got 1001"),
        ({"seeds": "until_decided", "max_seeds": 10**9}, "max_seeds: must be at most 1000: got 1000000000"),
        (
            {"arms": ..., "baseline": ..., "grid": {"model.dim": list(range(1_000)), "steps": list(range(1_000))}},
            "grid: must be at most 2000 arms: got 1000000",
        ),
        ({"arms": {str(i): {} for i in range(2_001)}}, "arms: must be at most 2000 arms: got 2001"),
        ({"overrides": {"model": "gpt/tiny", "model.layers": 10**12}}, "model.layers: must be at most 4096: got 1000"),
        ({"sizes": {str(i): {"steps": i} for i in range(1, 3_001)}}, "a study: must be at most 5000 arms times tasks"),
        ({"where": ["seed == 1"] * 101}, "where: must be at most 100 filters: got 101"),
        ({"where": "(" * 10_000}, r"where\[0\]: cannot be read: too many nested parentheses"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_a_study_asks_for_has_limits(read: Any, given: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused, match=told):
        expand_plan(read(**given))


def test_a_large_study_is_within_the_limits(read: Any) -> None:
    arms = {"two": {}, **{f"arm {i}": {"model.dim": 8 * i} for i in range(2, 400)}}
    assert len(read(arms=arms, seeds=100).arms) == 399

"""Studies that a command line asks for: the plan they are, and that every character of it arrives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from tests.study.plan.test_study_file import written
from zoo.checks import Refused
from zoo.config.format_override import format_override
from zoo.study.cells.load_plan import load_plan
from zoo.study.choose_launcher import choose_launcher
from zoo.study.plan.command_line import build_study_override, parse_study_command
from zoo.study.plan.controls import Matching, Rates
from zoo.study.plan.parse_yaml import parse_value
from zoo.study.plan.study_plan import StudyPlan

ARMS = "arms={rms: {model/norm: rms}, dyt: {model/norm: dyt}}"
COMMON = ["model=gpt/tiny", "data=numbers", "data.length=64"]


def plan(*words: str) -> StudyPlan:
    return load_plan(parse_study_command(words)[0])


# ------------------------------------------------------------------------------------------------- without a file


def test_a_study_without_a_file() -> None:
    study, further = parse_study_command([*COMMON, ARMS, "seeds=5", "threads=2", "~optimizer.weight_decay"])
    found = load_plan(study)
    assert further == ["threads=2"]  # of the machine, not of the question
    assert found.arms == {"baseline": {}, "rms": {"model/norm": "rms"}, "dyt": {"model/norm": "dyt"}}
    assert (found.baseline, found.seeds, found.kind) == ("baseline", (1, 2, 3, 4, 5), "arms")
    assert [format_override(*pair) for pair in found.overrides.items()] == [*COMMON, "~optimizer.weight_decay"]
    ((task),) = found.tasks
    assert (task.name, task.metrics, task.margin) == ("numbers", ("target_nll", "exact_match"), None)
    assert found.question == "Do rms and dyt differ from the baseline on numbers?"
    assert found.words == (*COMMON, ARMS, "seeds=5", "~optimizer.weight_decay")


def test_what_a_person_adds() -> None:
    found = plan(
        *("data=pycode", "model.dim=64", ARMS, "seeds=2", "baseline=rms", "margin=0.5", "metrics=loss,perplexity"),
        *("name=mine", "question=Which, a: {b} or 'c'?", "expected=None = nothing", "match=none"),
        *("where=seed < 3 or arm == dyt", "learning_rates=[1e-3, 0.01]", "overrides={steps: 7}"),
        "sizes={small: {model.layers: 1}, large: {model.layers: 2}}",
    )
    assert list(found.arms) == ["rms", "dyt"]
    assert (found.name, found.baseline) == ("mine", "rms")
    assert (found.question, found.expected) == ("Which, a: {b} or 'c'?", "None = nothing")
    assert [(task.name, task.metrics, task.margin) for task in found.tasks] == [
        ("pycode small", ("loss", "perplexity"), 0.5),
        ("pycode large", ("loss", "perplexity"), 0.5),
    ]
    assert (found.matching, found.rates) == (None, Rates((0.001, 0.01), (101,)))
    assert found.overrides == {"data": "pycode", "model.dim": 64, "steps": 7}
    assert [line.text for line in found.where] == ["seed < 3 or arm == dyt"]


@pytest.mark.parametrize(
    ("kind", "question", "name"),
    [
        ("arms={rms: {model/norm: rms}}", "Does rms differ from the baseline on numbers?", "rms-on-numbers-"),
        (
            "grid={model/norm: [rms, l2], optimizer.lr: [0.1, 1]}",
            "Which norm and lr are best on numbers?",
            "norm-lr-on-",
        ),
        ("grid={model/norm: [rms, l2]}", "Which norm is best on numbers?", "norm-on-numbers-"),
        (
            "path={from: gpt/tiny, to: llama/tiny}",
            "Which steps from gpt/tiny to llama/tiny matter on numbers?",
            "gpt-tiny-to-",
        ),
        (
            "pairs={norm: {rms: {model/norm: rms}}, ffn: {gated: {model/ffn: gated}}}",
            "Does what norm does depend on ffn on numbers?",
            "norm-ffn-on-numbers-",
        ),
    ],
)
def test_a_question_and_a_name_are_made_of_the_plan(kind: str, question: str, name: str) -> None:
    found = plan(*COMMON, kind, "seeds=2")
    assert found.question == question
    assert found.name.startswith(name)
    assert len(found.name) <= 55
    assert plan(*COMMON, kind, "seeds=7", "margin=1").name == found.name
    assert plan(*COMMON, kind, "seeds=2", "steps=9").name != found.name


# ---------------------------------------------------------------------------------------------------- with a file


def test_keys_replace_those_of_a_file(tmp_path: Path) -> None:
    path = str(written(tmp_path, match="parameters", expected="much"))
    study, further = parse_study_command([path, "seeds=3", "match=none", "steps=5", "margin=2", "metrics=perplexity"])
    found = load_plan(study)
    assert further == ["steps=5"]
    assert (found.seeds, found.matching, found.expected) == ((1, 2, 3), None, "much")
    assert (found.tasks[0].margin, found.tasks[0].metrics) == (2.0, ("perplexity",))
    assert (found.name, found.path) == (tmp_path.name, Path(path))
    assert found.words == (path, "seeds=3", "match=none", "margin=2", "metrics=perplexity")
    assert plan(path).matching == Matching("parameters", "hidden")
    assert plan(path, "name=other").name == "other"
    other = plan(path, "grid={model.heads: [1, 2]}", "baseline=heads=2")
    assert (other.kind, list(other.arms)) == ("grid", ["heads=1", "heads=2"])
    with pytest.raises(Refused, match=r"study\.yaml: seeds: must be at least 1: got 0"):
        plan(path, "seeds=0")


# -------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["one", "two"], "one study at a time: got one, two"),
        (["seeds=3", "steps=3"], "give the name of a study, or one of arms={…}, grid={…}"),
        ([ARMS, ARMS], "arms: is given twice: got arms="),
        (
            [ARMS, "seeds=2", "model.dim=32,64"],
            "model.dim: must have one value in a study: got 32,64; to compare several, use grid={mod",
        ),
        ([ARMS, "seeds=2", "steps=[1"], "steps=[1: cannot be read as key=value"),
        (
            [ARMS, "seeds=2", "tasks={a: {metrics: [loss]}}", "margin=1"],
            "margin: must be given in each task if tasks are giv",
        ),
        (["arms={rms: [", "seeds=2"], "arms={rms: [ is not YAML"),
        (["three_variant"], "unknown study 'three_variant': did you mean three_variants?"),
    ],
)
def test_what_is_no_study_is_refused(words: list[str], told: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_study_command(words)
    assert str(refused.value).startswith(told)


def test_mistakes_are_told_without_a_file_too() -> None:
    with pytest.raises(Refused) as refused:
        plan("data=numbers", "model.dimm=3", "arms={rms: {model/norm: rsm}}", "match=size")
    told = str(refused.value).splitlines()
    assert told[0].startswith("seeds: must be a list of int, the number of seeds, or until_decided: got nothing")
    assert any(line.startswith("match.quantity: unknown quantity 'size'") for line in told)
    assert any("rms: model/norm: unknown choice 'rsm'" in line for line in told)
    assert any("model.dimm: unknown key: did you mean dim?" in line for line in told)


# ----------------------------------------------------------------------------------------------- every character


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{a: {model/norm: rms}, b: null}", {"a": {"model/norm": "rms"}, "b": None}),
        ("{a:{model.x:1e-3}}", {"a": {"model.x": 0.001}}),
        ("{größe: {label: 'ü'}}", {"größe": {"label": "ü"}}),
        ("{'a, b': {x: 1}, \"c: d\": {}}", {"a, b": {"x": 1}, "c: d": {}}),
        ("{1: {x: '1'}}", {"1": {"x": "1"}}),
        ("1,2", [1, 2]),
        ("range(1,4)", [1, 2, 3]),
        ("[a, 'b c']", ["a", "b c"]),
        ("5", 5),
        ("until_decided", "until_decided"),
    ],
)
def test_values_are_read_as_a_person_writes_them(text: str, value: Any) -> None:
    assert parse_value("key", text) == value


ANY = st.one_of(st.text(max_size=12), st.text(alphabet="\"'\\ab{}[],:=$ \n\t#~", max_size=12))


@settings(max_examples=150, deadline=None)
@given(ANY)
@example("a\\\n")
def test_overrides_keep_every_character(text: str) -> None:
    read = OverridesParser.create().parse_override(format_override("key", [text, {"a": text}, text])).value()
    assert read == [text, {"a": text}, text]


@settings(max_examples=100, deadline=None)
@given(ANY, ANY)
def test_a_study_reaches_the_sweeper_with_every_character(name: str, value: str) -> None:
    arms = {"a": {}, name: {"label": value}}
    words = [*COMMON, "seeds=1", f"question={value}", f"arms={json.dumps(arms)}", "baseline=a"]
    with mock.patch(
        "zoo.study.plan.command_line._find_data_form", return_value=("numbers", "pairs")
    ):  # which takes a second
        study, _ = parse_study_command(words)
    line = OverridesParser.create().parse_override(build_study_override(study))
    config = OmegaConf.create({"study": line.value()})
    arrived = json.loads(OmegaConf.to_container(config, resolve=True)["study"])
    assert arrived["question"] == value
    assert arrived["arms"] == arms


@pytest.mark.parametrize(
    ("gpu", "words", "chosen"),
    [
        (False, [], ["threads=1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=6"]),
        (False, ["threads=2", "hydra/launcher=basic"], []),
        (True, ["trainer=gpu"], ["threads=1"]),
        (True, ["trainer=cpu", "threads=2"], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=6"]),
    ],
)
def test_runs_go_at_once_but_not_on_one_gpu(
    gpu: bool, words: list[str], chosen: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    monkeypatch.setattr("joblib.cpu_count", lambda: 6)
    assert choose_launcher(words) == chosen

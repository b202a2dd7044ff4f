"""Kinds of plan: which arms they make, what each is compared with, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from zoo.config.checking import check_run
from zoo.config.compose import compose_run
from zoo.config.format_override import format_override
from zoo.study.plan.designs import READERS, Arms
from zoo.study.plan.preset_path import read_path
from zoo.study.plan.tasks import merge_overrides

RMS, GATED, ROTARY = {"model/norm": "rms"}, {"model/ffn": "gated"}, {"model/position": "rotary"}


def read(kind: str, given: Any) -> Arms:
    problems: list[str] = []
    found = READERS[kind](given, problems)
    assert problems == []
    return found


def problems_of(kind: str, given: Any) -> list[str]:
    problems: list[str] = []
    READERS[kind](given, problems)
    return problems


# ----------------------------------------------------------------------------------------------------------- made


def test_arms_are_as_they_are_written() -> None:
    found = read("arms", {"a": None, "b": RMS})
    assert (found.arms, found.baseline, found.against) == ({"a": {}, "b": RMS}, None, {})


def test_a_grid_is_every_combination() -> None:
    found = read("grid", {"model/norm": ["rms", "dyt"], "optimizer.lr": [0.001, 1], "model.head.tied": [True]})
    assert found.arms == {
        f"norm={norm}, lr={lr}, tied=true": {"model/norm": norm, "optimizer.lr": lr, "model.head.tied": True}
        for norm in ("rms", "dyt")
        for lr in (0.001, 1)
    }
    assert found.axes["norm=dyt, lr=1, tied=true"] == {"norm": "dyt", "lr": 1, "tied": True}
    assert found.baseline is None


def test_keys_of_a_grid_are_as_short_as_they_can_be_told_apart() -> None:
    found = read("grid", {"model/encoder/norm": ["rms"], "model/decoder/norm": ["l2"], "data.task": [1]})
    assert list(found.arms) == ["encoder.norm=rms, decoder.norm=l2, data.task=1"]


def test_one_at_a_time_adds_each_and_removes_each() -> None:
    found = read("one_at_a_time", {"rms": RMS, "gated": GATED, "rotary": ROTARY})
    assert found.arms == {
        "baseline": {},
        "+ rms": RMS,
        "+ gated": GATED,
        "+ rotary": ROTARY,
        "full": RMS | GATED | ROTARY,
        "full - rms": GATED | ROTARY,
        "full - gated": RMS | ROTARY,
        "full - rotary": RMS | GATED,
    }
    assert found.baseline == "baseline"
    assert found.against == {"full - rms": "full", "full - gated": "full", "full - rotary": "full"}


def test_pairs_are_levels_and_their_combinations() -> None:
    found = read("pairs", {"norm": {"rms": RMS, "l2": {"model/norm": "l2"}}, "ffn": {"gated": GATED}})
    assert found.arms == {
        "baseline": {},
        "gated": GATED,
        "rms": RMS,
        "l2": {"model/norm": "l2"},
        "rms + gated": RMS | GATED,
        "l2 + gated": {"model/norm": "l2"} | GATED,
    }
    assert found.factors["baseline"] == ("", "")
    assert found.factors["gated"] == ("", "gated")
    assert found.factors["l2 + gated"] == ("l2", "gated")
    assert found.axes["rms"] == {"norm": "rms", "ffn": "baseline"}
    assert (found.baseline, found.against) == ("baseline", {})


def test_levels_of_one_name_are_told_apart() -> None:
    found = read("pairs", {"encoder": {"none": {"a": 1}}, "decoder": {"none": {"b": 1}}})
    assert list(found.arms) == ["baseline", "decoder=none", "encoder=none", "encoder=none + decoder=none"]


# -------------------------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        ("arms", {}, "arms: must not be empty"),
        ("arms", ["a"], "arms: must be a mapping: got ['a']"),
        ("arms", {"a": 3}, "arms.a: must be a mapping: got 3"),
        ("arms", {"a": {"seed": 2}}, "arms.a.seed: is set by the seeds of the study: got 2"),
        ("arms", {"a": {"hydra/launcher": "basic"}}, "arms.a.hydra/launcher: applies to the whole study"),
        ("grid", {"model/norm": "rms"}, "grid.model/norm: must be a list of values: got 'rms'"),
        ("grid", {"model/norm": []}, "grid.model/norm: must be a list of values: got []"),
        ("grid", {"steps": [1, 2, 1]}, "grid.steps: values must differ: got [1, 2, 1]"),
        ("grid", {"steps": [1, "1"]}, "grid.steps: values must differ"),
        ("grid", {"seed": [1, 2]}, "grid.seed: is set by the seeds of the study"),
        ("grid", {"model/norm": ["a"], "model.norm": ["b"]}, "grid.model.norm: is given twice"),
        ("one_at_a_time", {"rms": RMS}, "must have at least three parts, as one part alone is all parts"),
        ("one_at_a_time", {"a": RMS, "b": GATED}, "as two parts are a plan of pairs: got a, b"),
        ("one_at_a_time", {"a": RMS, "b": GATED, "c": RMS}, "one_at_a_time: a and c both set model/norm"),
        ("pairs", {"norm": {"rms": RMS}}, "pairs: must have two factors: got norm"),
        ("pairs", {"a": {"x": RMS}, "b": {"y": RMS}}, "pairs: a and b both set model/norm"),
        ("pairs", {"a": {"baseline": RMS}, "b": {"y": GATED}}, "pairs.a.baseline: must have another name"),
        ("pairs", {"arm": {"x": RMS}, "b": {"y": GATED}}, "pairs.arm: must have another name"),
    ],
)
def test_what_is_no_plan_of_its_kind_is_refused(kind: str, given: Any, told: str) -> None:
    assert any(told in problem for problem in problems_of(kind, given)), problems_of(kind, given)


# --------------------------------------------------------------------------------------------------------- layers


def test_who_chooses_another_component_keeps_what_was_said_of_options_that_it_has_too() -> None:
    below = {"model/norm": "layer", "model.norm.eps": 1.0, "model.norms": 2, "+model.norm.new": 3, "steps": 1}
    kept = {"model.norm.eps": 1.0, "model.norms": 2, "steps": 1}
    assert merge_overrides(below, {"model/norm": "rms"}) == {**kept, "model/norm": "rms"}
    assert merge_overrides(below, {"model/norm": "none"}) == {"model.norms": 2, "steps": 1, "model/norm": "none"}
    nested = {"model.attention.scores.window": 4, "~model.attention.qk_norm": None, "model.attention.rank": 2}
    assert merge_overrides(nested, {"model/attention": "grouped_query"}) == {
        "model.attention.scores.window": 4,
        "~model.attention.qk_norm": None,
        "model/attention": "grouped_query",
    }
    assert merge_overrides({"model.norm.bias": "all"}, {"model/norm": "layer"}) == {"model/norm": "layer"}
    assert merge_overrides(below, {"model/norm": "layer", "steps": 2}) == below | {"steps": 2}
    both = {"model.norm.bias": False, "model/norm": "rms"}
    assert merge_overrides(below, both) == {**kept, **both}
    assert merge_overrides({"model.encoder.norm.eps": 1}, {"model/norm": "rms"})["model.encoder.norm.eps"] == 1


# ---------------------------------------------------------------------------------------------------------- paths


def walk(given: Any, common: Any = (), fixed: Any = ()) -> tuple[Arms, list[str]]:
    problems: list[str] = []
    return read_path(given, dict(common), fixed, problems), problems


def run_hash(overrides: Any) -> str:
    return check_run(compose_run([format_override(key, value) for key, value in overrides.items()])).hash


@pytest.mark.parametrize(
    ("begin", "end"),
    [("gpt", "llama"), ("gpt/tiny", "transformer"), ("transformer", "gpt"), ("moe_after_dense", "local_global")],
)
def test_a_path_ends_at_the_other_preset(begin: str, end: str) -> None:
    found, problems = walk({"from": begin, "to": end})
    assert problems == []
    assert found.baseline == begin
    names = list(found.arms)
    assert run_hash(found.arms[names[0]]) == run_hash({"model": begin})
    assert run_hash(found.arms[names[-1]]) == run_hash({"model": end})
    assert found.against == dict(zip(names[1:], names, strict=False))
    hashes = [run_hash(what) for what in found.arms.values()]
    assert len(set(hashes)) == len(hashes)


def test_steps_are_taken_in_order_and_keep_those_before() -> None:
    order = ["norm", "position", "ffn", "hidden", "attention", "head"]
    found, problems = walk({"from": "gpt", "to": "llama", "order": order})
    assert problems == []
    assert list(found.arms) == [
        *("gpt", "+ norm=rms", "+ position=rotary", "+ ffn=gated", "+ hidden=704"),
        *("+ attention=grouped_query", "+ head.tied=false"),
    ]
    assert found.arms["+ position=rotary"] == {"model": "gpt", "model/norm": "rms", "model/position": "rotary"}


def test_what_the_study_or_its_sizes_fix_is_no_step() -> None:
    common = {"model.dim": 64, "model.heads": 2}
    found, _ = walk({"from": "gpt/tiny", "to": "llama"}, common, {"model.layers", "model/norm"})
    steps = [name.split("=")[0] for name in found.arms]
    assert steps == ["gpt/tiny", "+ hidden", "+ head.tied", "+ attention", "+ ffn", "+ position"]
    end = {"model": "llama", "model.layers": 2, "model/norm": "layer"}
    assert run_hash({**list(found.arms.values())[-1], **common}) == run_hash({**end, **common})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"from": "gtp", "to": "llama"}, "path.from: unknown model 'gtp': did you mean gpt?"),
        ({"from": "gpt"}, "path.to: must be given (str)"),
        ({"from": "gpt", "to": "llama", "by": 1}, "path.by: unknown key: choices: from, order, to"),
        ({"from": "gpt", "to": "gpt"}, "path: must lead to a different model: gpt and gpt are the same"),
        ({"from": "gpt", "to": "llama", "order": ["norm", "nrm"]}, "path.order[1]: unknown part 'nrm': did you mean n"),
        ({"from": "gpt", "to": "llama", "order": ["norm", "norm"]}, "path.order[1]: is given twice: got norm"),
        ({"from": "gpt", "to": "llama", "order": ["dim"]}, "path.order[0]: dim changes nothing"),
        ({"from": "gpt", "to": "llama", "order": ["norm"]}, "every part that differs: hidden, head, attention, ffn, p"),
    ],
)
def test_what_is_no_path_is_refused(given: Any, told: str) -> None:
    _, problems = walk(given)
    assert any(problem.startswith(told) or told in problem for problem in problems), problems

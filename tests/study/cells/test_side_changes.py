"""A swapped part changes nothing but the part, by whichever door; what it changes besides is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.command import TINY, checked, zoo
from zoo.config.checkpoint_start import merge_configs
from zoo.model.build import build
from zoo.model.schema import carry_options, has_option, overlay_part
from zoo.study.cells.expand_plan import expand_plan
from zoo.study.cells.load_plan import load_plan
from zoo.study.gather_study import gather_study

SWAP = "model/attention=grouped_query"  # on GPT-2, whose attention has biases
ONE_STEP = [*TINY, "steps=1", "evaluate=1"]
SCORES = {"window": 3, "sinks": True}


@pytest.mark.parametrize(
    "swap",
    [
        [SWAP, "model.attention.kv_heads=2"],
        ["+model.exceptions.all={at: [0], attention: {name: grouped_query, kv_heads: 2}}"],
    ],
    ids=["slot", "exception"],
)
def test_multi_head_and_as_many_grouped_queries_are_the_same_model(swap: list[str]) -> None:
    """With a key head for each head the two are one computation, so both have the same parameters, biases too."""
    shapes = []
    for words in (TINY, [*TINY, *swap]):
        model = build(checked(*words).config.model.options, 300)
        shapes.append({name: tuple(each.shape) for name, each in model.named_parameters()})
    assert shapes[0] == shapes[1]
    assert sum(name.endswith("bias") and ".attention." in name for name in shapes[1]) == 4


def test_cross_attention_takes_from_that_of_the_decoder_what_it_would_have_had() -> None:
    words = ["model=bart", "data=numbers", "trainer=cpu", "model.attention.scores={window: 8}"]
    same, swapped = (checked(*words, *more) for more in ([], ["model/cross=multi_head"]))
    assert same.plan is not None
    assert swapped.plan is not None
    cross = same.plan.stacks[1].cross
    assert cross is not None
    assert swapped.plan.stacks[1].cross == replace(cross, path="model.cross")
    assert cross.options["bias"] == "all"


def test_every_door_composes_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Show, one run, a sweep, which Hydra composes run by run, and a study."""
    monkeypatch.chdir(tmp_path)
    whole = checked(*ONE_STEP, SWAP)
    assert whole.config.model.options["attention"]["bias"] == "all"
    assert "bias: all" in zoo("train", *ONE_STEP, SWAP, "--cfg", "job").out
    assert "bias" not in zoo("train", *ONE_STEP, SWAP, "~model.attention.bias", "--cfg", "job").out.split("ffn")[0]
    shown = json.loads(zoo("show", *ONE_STEP, SWAP, "--json").out)
    assert shown["model"]["attention"] == whole.config.model.options["attention"]
    code, _, err = zoo("train", "-m", *ONE_STEP, "model/attention=multi_head,grouped_query")
    assert code == 0, err
    made = {each.parent.name for each in tmp_path.glob("runs/*/result.json")}
    assert made == {checked(*ONE_STEP).hash, whole.hash}
    for command in (["train", *ONE_STEP, SWAP], ["study", *_study(tmp_path), "hydra/launcher=basic"]):
        code, out, err = zoo(*command)
        assert code == 0, err
        assert {each.parent.name for each in tmp_path.glob("runs/*/result.json")} == made, "it is there already"
    assert "2 of 2 runs done" in out


def _study(folder: Path, **more: Any) -> list[str]:
    study = {
        "question": "Which?",
        "baseline": "one",
        "seeds": [0],
        "arms": {"one": {}, "two": {"model/attention": "grouped_query"}},
        "tasks": {"spelling": {"metrics": ["loss"]}},
        **more,
    }
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return [str(folder / "study.yaml"), *ONE_STEP]


def test_what_a_swap_changes_besides_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what a study says for all arms, an arm keeps what its part understands."""
    monkeypatch.chdir(tmp_path)
    common = {"model.attention.scores.window": 8, "model.attention.output_gate": True}
    arms = {
        "one": {},
        "two": {"model/attention": "grouped_query", "model.attention.kv_heads": 1},
        "three": {"model/attention": "local"},
        "four": {"model/ffn": "gated", "model.ffn.activation": "silu", "model/position": "rotary"},
        "five": {"model/ffn": "none"},
    }
    study, *further = _study(tmp_path, overrides={"model.position.length": 64, **common}, arms=arms)
    further = [word for word in further if not word.startswith("model.position")]
    expansion = expand_plan(load_plan(study), further)
    parts = {each.arm: each.checked.config.model.options["attention"] for each in expansion.settings}
    assert parts["two"] == {**parts["one"], "name": "grouped_query", "kv_heads": 1}
    assert (parts["three"]["bias"], parts["three"]["scores"]["window"]) == ("all", 8)
    assert expansion.side_changes == {("three", "spelling"): ("attention.output_gate=true dropped",)}
    code, out, err = zoo("study", study, *further, "--dry-run")
    assert code == 0, err
    assert "also changed: spelling three: attention.output_gate=true dropped" in out
    described, _, _ = gather_study(study, further)
    assert described.tasks[0].note == "three also changes: attention.output_gate=true dropped."


def test_both_parts_have_it_by_name_and_type() -> None:
    old = {"name": "multi_head", "bias": "all", "scores": {"window": 3}, "qk_norm": "head", "nowhere": 1}
    kept = {"bias": "all", "scores": {"window": 3}}
    assert carry_options("attention", old, "local") == kept
    assert carry_options("attention", old, "grouped_query") == {**kept, "qk_norm": "head"}
    assert carry_options("attention", old, "none") == carry_options("attention", {}, "local") == {}
    assert carry_options("norm", {"name": "layer", "eps": 1e-3, "bias": False}, "rms") == {"eps": 1e-3}
    assert carry_options("residual", {"name": "highway", "initial": -1.0}, "layerscale") == {}, "of another type"
    assert has_option("attention", "local", "scores.window", 3)
    assert not has_option("attention", "local", "scores.windows", 3)
    assert not has_option("attention", "local", "bias", True)


def test_a_checkpoint_gives_its_options_to_the_part_that_replaces_its_own() -> None:
    base = {"dim": 8, "attention": {"name": "multi_head", "bias": "qkv", "scores": SCORES, "qk_norm": "none"}}
    over = {"attention": {"name": "local", "scores": {"window": None}}, "cross": {"name": "local"}}
    assert merge_configs({**base, "cross": base["attention"]}, over) == {
        "dim": 8,
        "attention": {"name": "local", "bias": "qkv", "scores": {"window": None, "sinks": True}},
        "cross": {"name": "local", "bias": "qkv", "scores": SCORES},
    }


def test_overlays_merge_or_replace() -> None:
    base = {"name": "multi_head", "bias": "all", "qk_norm": "none", "scores": SCORES}
    merged = overlay_part("attention", base, {"name": "multi_head", "scores": {"window": None}})
    assert merged == {**base, "scores": {"window": None, "sinks": True}}
    assert overlay_part("attention", base, {"bias": "qkv"}) == {**base, "bias": "qkv"}
    assert overlay_part("attention", base, {}) == base
    replaced = overlay_part("attention", base, {"name": "local", "block": 8, "scores": {"window": 2}})
    assert replaced == {"name": "local", "bias": "all", "scores": {"window": 2, "sinks": True}, "block": 8}

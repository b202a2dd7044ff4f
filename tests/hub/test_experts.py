"""What configs of mixtures may say, and what is refused."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from zoo.checks import Refused
from zoo.hub import load_network, save
from zoo.hub.config_json import read_published_config, write_published_config
from zoo.hub.family_index import find_family
from zoo.hub.misfits import find_misfits
from zoo.model.build import build, check
from zoo.model.plan import ModelPlan

MIXTURE: dict[str, Any] = {
    "variant": "decoder",
    "dim": 16,
    "layers": 6,
    "heads": 2,
    "hidden": 8,
    "vocabulary": 29,
    "attention": {"name": "grouped_query", "kv_heads": 1},
    "ffn": {"name": "moe", "experts": 4},
    "norm": {"name": "rms"},
    "position": {"name": "rotary"},
    "residual": {"name": "pre"},
    "head": {"tied": False},
}
CORRECTED = {"name": "moe", "experts": 4, "shared": 1, "router": {"score": "sigmoid", "correction": 0.0}}


def published(name: str, **options: Any) -> dict[str, Any]:
    """A published config with some options in place of its own; None takes one out."""
    config = json.loads((Path(__file__).parent / "configs" / f"{name}.json").read_text())["config"]
    return {key: value for key, value in {**config, **options}.items() if value is not None}


def refused(name: str, **options: Any) -> list[str]:
    with pytest.raises(Refused) as found:
        read_published_config(published(name, **options))
    return str(found.value).splitlines()


def planned(**over: Any) -> ModelPlan:
    _, plan, problems = check({**MIXTURE, **over})
    assert problems == []
    assert plan is not None
    return plan


def with_dense(at: list[int]) -> dict[str, Any]:
    return {"dense": {"at": at, "hidden": 24, "ffn": {"name": "gated"}}} if at else {}


def test_what_no_component_computes_is_refused_all_at_once() -> None:
    none = "since no component supports another value"
    assert refused(
        "deepseek_v2",
        num_key_value_heads=4,
        rms_norm_eps=1e-5,
        attention_bias=True,
        norm_topk_prob=True,
        topk_method="noaux_tc",
        scoring_func="sigmoid",
    ) == [
        f"config.json: num_key_value_heads must be 16, {none}: got 4",
        f"config.json: rms_norm_eps must be 1e-06, {none}: got 1e-05",
        f"config.json: attention_bias must be False, {none}: got True",
        f"config.json: norm_topk_prob must be False, {none}: got True",
        f"config.json: scoring_func must be 'softmax', {none}: got 'sigmoid'",
        "config.json: topk_method must be greedy or group_limited_greedy: got 'noaux_tc'",
    ]


@pytest.mark.parametrize(
    ("name", "options", "line"),
    [
        ("mixtral", {"num_experts": 4}, "num_experts must be equal to num_local_experts=8: got 4"),
        ("qwen3_moe", {"decoder_sparse_step": 0}, "decoder_sparse_step must be positive: got 0"),
        ("ernie4_5_moe", {"moe_layer_interval": 0}, "moe_layer_interval must be positive: got 0"),
        ("qwen3_moe", {"num_experts": 2**31 - 1}, "num_experts must be at most 4096: got 2147483647"),
        ("glm4_moe", {"first_k_dense_replace": -1}, "first_k_dense_replace must not be negative: got -1"),
        ("glm4_moe", {"n_shared_experts": 0}, "n_shared_experts must be at least 1: got 0"),
        (
            "gpt_oss",
            {"swiglu_alpha": 1.0},
            "swiglu_alpha must be 1.702, since no component supports another value: got 1.0",
        ),
    ],
)
def test_a_wrong_option_is_named(name: str, options: dict[str, Any], line: str) -> None:
    assert refused(name, **options) == [f"config.json: {line}"]


def test_either_name_of_an_option_is_read() -> None:
    plans = [
        read_published_config(published("mixtral", num_local_experts=a, num_experts=b)).plan
        for a, b in ((6, None), (None, 6), (6, 6))
    ]
    assert [plan.stacks[0].base.ffn.options["experts"] for plan in plans] == [6, 6, 6]


def test_a_mixture_without_a_word_on_scaling_has_the_published_one() -> None:
    whole = published("gpt_oss")
    assert read_published_config(published("gpt_oss", rope_scaling=None)).plan == read_published_config(whole).plan


@pytest.mark.parametrize(
    ("dense", "said"),
    [
        ([], (0, 5, 1)),
        ([0, 1], (2, 5, 1)),
        ([0, 5], (1, 4, 1)),
        ([0, 2, 4], (1, 5, 2)),
        ([0, 1, 3, 4], (2, 5, 3)),
        ([0, 1, 2, 4, 5], (3, 3, 1)),
    ],
)
def test_layers_with_mixtures_are_told_by_first_last_and_step(dense: list[int], said: tuple[int, int, int]) -> None:
    ffn = {"name": "moe", "experts": 4, "shared": 1, "router": {"correction": 0.0}}
    plan = planned(ffn=ffn, position={"name": "rotary", "interleaved": True}, exceptions=with_dense(dense))
    family = find_family("ernie4_5_moe")
    assert find_misfits(family, plan) == []
    told = write_published_config(family, plan, {})
    assert tuple(told[f"moe_layer_{word}"] for word in ("start_index", "end_index", "interval")) == said


def test_dense_layers_that_a_family_cannot_say_do_not_fit() -> None:
    between = planned(exceptions=with_dense([0, 3]))
    assert find_misfits(find_family("qwen3_moe"), between) != []  # whose queries and keys have norms
    normed = planned(attention={"name": "grouped_query", "qk_norm": "head"}, exceptions=with_dense([0, 3]))
    assert find_misfits(find_family("qwen3_moe"), normed) == []
    corrected = planned(ffn=CORRECTED, position={"name": "rotary", "fraction": 0.5}, exceptions=with_dense([0, 3]))
    found = [str(line) for line in find_misfits(find_family("glm4_moe"), corrected)]
    assert "ffn (layer 3): gated, not moe" in found
    assert "ffn (layer 1): moe, not gated" in found


def test_a_layer_that_predicts_further_tokens_is_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = {**MIXTURE, "layers": 2, "ffn": CORRECTED, "position": {"name": "rotary", "fraction": 0.5}}
    model = build({key: value for key, value in config.items() if key != "vocabulary"}, 29, seed=0)
    assert save(model, tmp_path / "one").name == "glm4_moe"
    file = tmp_path / "one" / "model.safetensors"
    save_file({**load_file(file), "model.layers.46.eh_proj.weight": torch.zeros(2, 2)}, file)
    (tmp_path / "one" / "SHA256SUMS").unlink()  # of the file before
    said = json.loads((tmp_path / "one" / "config.json").read_text())
    assert said["num_nextn_predict_layers"] == 0
    (tmp_path / "one" / "config.json").write_text(json.dumps({**said, "num_nextn_predict_layers": 1}))
    with caplog.at_level(logging.WARNING, "zoo"):
        loaded = load_network(tmp_path / "one")
    assert "left out: model.layers.46.eh_proj.weight: layers for multi-token prediction are not part" in caplog.text
    tokens = torch.arange(6)[None]
    assert torch.equal(loaded(tokens), model.eval()(tokens))

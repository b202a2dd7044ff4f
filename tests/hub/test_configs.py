"""Configs as they were published say what the presets say: each file holds one, and the name of its preset."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoo.config.compose import compose_run
from zoo.hub.config_json import read_published_config, write_published_config
from zoo.hub.plan_difference import compare_plans
from zoo.model.build import check

FILES = sorted((Path(__file__).parent / "configs").glob("*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_published_config_is_its_preset(file: Path) -> None:
    given = json.loads(file.read_text())
    _, plan, problems = check(compose_run([f"model={given['model']}", *given.get("overrides", [])])["model"])
    assert problems == []
    assert plan is not None
    assert list(map(str, compare_plans(read_published_config(given["config"]).plan, plan))) == []


# Options that vLLM, SGLang or llama.cpp's converter read from config.json, where transformers has a default or none.
READ_ELSEWHERE = {
    "deepseek_v2": {"topk_method": "greedy", "scoring_func": "softmax", "norm_topk_prob": False, "moe_layer_freq": 1},
    "deepseek_v3": {"topk_method": "noaux_tc", "scoring_func": "sigmoid", "moe_layer_freq": 1},
    "glm4_moe": {"topk_method": "noaux_tc", "scoring_func": "sigmoid"},
    "gemma": {"hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu_pytorch_tanh"},
    "gemma2": {"hidden_activation": "gelu_pytorch_tanh"},
    "gemma3_text": {"hidden_activation": "gelu_pytorch_tanh"},
    "gpt2": {"n_ctx": 1024, "activation_function": "gelu_new"},
    "bert": {"position_embedding_type": "absolute"},
    "t5": {"is_encoder_decoder": True},
    "bart": {"is_encoder_decoder": True},
}
UNWRITTEN = {
    "intermediate_size": "of dense layers, where all are mixtures",
    "max_window_layers": "layer_types says which layers have a window",
    "num_hidden_layers": "encoder_layers and decoder_layers say it",
    "sliding_window_pattern": "layer_types says which layers have a window",
}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_written_config_says_what_the_published_one_says(file: Path) -> None:
    """Other readers have other defaults than transformers, so that nothing may be left to them."""
    given = json.loads(file.read_text())["config"]
    described = read_published_config(given)
    written = write_published_config(described.family, described.plan, {})
    said = {key for key, value in given.items() if value is not None}
    assert said - written.keys() - described.family.passthrough - UNWRITTEN.keys() == set()
    expected = READ_ELSEWHERE.get(described.family.name, {})
    assert {key: written.get(key) for key in expected} == expected

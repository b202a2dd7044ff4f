"""``zoo diff``: what differs between two models, by what is published of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command import zoo


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def told(*arguments: str) -> list[tuple[str, Any, Any]]:
    code, out, err = zoo("diff", *arguments, "--json")
    assert code == 0, err
    return [(each["part"], each["one"], each["other"]) for each in json.loads(out)["differences"]]


def test_published_sizes_differ_in_what_is_published() -> None:
    """Qwen 2.5 at 0.5B and Qwen 3 at 0.6B: sizes, biases against norms, and nothing else."""
    assert told("qwen2_5/0_5b", "qwen3/0_6b") == [
        ("dim", 896, 1024),
        ("layers", 24, 28),
        ("heads", 14, 16),
        ("head_dim", 64, 128),
        ("hidden", 4864, 3072),
        ("attention.kv_heads", 2, 8),
        ("attention.bias", "qkv", "none"),
        ("attention.qk_norm", "none", "head"),
    ]


def test_layers_that_differ_come_last() -> None:
    """Layer 5 of Gemma 3 sees all and turns slowly; layers 1 and 3 of Gemma 2 see all, here as wide as Gemma 3."""
    found = told("gemma3", "gemma2", "model.layers=6", "model.hidden=1024", "model.attention.kv_heads=1")
    assert found == [
        ("attention.scores.softcap", None, 50.0),
        ("attention.qk_norm", "head", "none"),
        ("head.softcap", None, 30.0),
        ("attention.scores.window (layer 1, 3)", 64, None),
        ("position.base (layer 5)", 1000000.0, 10000.0),
    ]


def test_overrides_hold_for_both_models() -> None:
    found = told("llama/tiny", "llama/small", "model.layers=2", "model.dim=64", "model.hidden=64")
    assert found == [("heads", 4, 8), ("head_dim", 16, 8), ("attention.kv_heads", 2, 4)]


def test_an_encoder_is_compared_with_a_decoder_part_by_part() -> None:
    found = told("gpt", "bert")
    assert found[0] == ("variant", "decoder", "encoder")
    assert ("residual", "pre", "post") in found
    assert ("dropout", 0.0, 0.1) in found  # which is of training
    stacks = told("bert", "transformer")
    assert ("encoder.position", "learned", "sinusoidal") in stacks
    assert not any(part.startswith("decoder.") for part, _, _ in stacks)


def test_a_folder_stands_for_the_model_that_its_config_describes(tmp_path: Path) -> None:
    config = {
        "model_type": "mistral",
        "vocab_size": 32000,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-05,
        "sliding_window": 1024,
    }
    folder = tmp_path / "a=folder, with signs"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    assert told(str(folder), "mistral/7b") == [("attention.scores.window", 1024, 4096)]
    assert told("mistral/7b", folder.name, "model.head.tied=true") == [("attention.scores.window", 4096, 1024)]


def test_the_terminal_shows_a_table_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = zoo("diff", "gemma2/2b", "mistral/7b")
    lines = out.splitlines()
    assert code == 0
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["part", "gemma2/2b", "mistral/7b"]
    assert lines[1].split() == ["dim", "2304", "4096"]
    assert ["head.softcap", "30.0", "null"] in [line.split() for line in lines]
    assert zoo("diff", "llama", "llama").out == "llama and llama are the same model\n"


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        ([], ["zoo diff needs two models, A and B, before any override: got nothing"]),
        (["llama"], ["zoo diff needs two models, A and B, before any override: got llama"]),
        (
            ["llama", "model.dim=64"],
            ["zoo diff needs two models, A and B, before any override: got llama model.dim=64"],
        ),
        (["llama", "qwen3", "model=gpt"], ["model=gpt: A and B choose the models: got llama and qwen3"]),
        (["llama", "qwen3", "gpt"], ["gpt: must be an override, as key=value: the models are llama and qwen3"]),
        (
            ["llama", "qwen3", "--jsn"],
            ["unknown flag '--jsn': did you mean --json? choices: --debug, --help, --json, -h"],
        ),
        (
            ["qwen3", "llama", "model.dim=10"],
            ["llama: model.heads: heads must divide dim unless head_dim is given: got heads=4, dim=10"],
        ),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: list[str], lines: list[str]) -> None:
    code, out, err = zoo("diff", *arguments)
    assert (code, out, err.splitlines()) == (2, "", [f"zoo: {line}" for line in lines])


def test_unknown_models_are_refused_with_the_near_misses() -> None:
    code, _, err = zoo("diff", "lama/tiny", "qwen33")
    first, second = err.splitlines()
    assert code == 2
    assert "'lama/tiny': did you mean llama/tiny?" in first
    assert "'qwen33': did you mean qwen3?" in second

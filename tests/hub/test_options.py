"""What config.json may say beside the model: every option that transformers reads is understood, others are noted."""

from __future__ import annotations

import ast
import functools
import inspect
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import CONFIG_MAPPING, LlamaForCausalLM
from transformers.models.auto.configuration_auto import model_type_to_module_name

from tests.command import zoo
from tests.hub.cases.llama import case
from tests.hub.oracle import made
from zoo.checks import Refused, find_typo
from zoo.hub import get_families, load_network, save
from zoo.hub.config_json import get_known_options, read_published_config
from zoo.hub.family import Family

SOURCE = Path(transformers.__file__).parent
OF_OTHER_LAYERS = {"number_of_conv_states"}
"""Read for types of layers that ``layer_types`` of no family may have."""
OF_DECODERS = ("masking_utils.py", "cache_utils.py")


@functools.cache
def options_read(file: Path, known: frozenset[str]) -> frozenset[str]:
    """Options of a config that a file of transformers reads, as ``config.NAME`` or by getattr.

    Args:
        file: Python source.
        known: attributes of the config; ``config.NAME`` of another name belongs to the config of another class.
    """
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf8"))):
        if isinstance(node, ast.Attribute) and _is_config(node.value) and node.attr in known:
            found.add(node.attr)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            target, name = node.args[0], node.args[1]
            if _is_config(target) and isinstance(name, ast.Constant):
                found.add(str(name.value))
    return frozenset(found)


def _is_config(node: ast.expr) -> bool:
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name in ("config", "text_config", "layer_config", "effective_config", "decoder_config")


def config_class(family: Family) -> Any:
    return CONFIG_MAPPING[family.name]


@pytest.mark.parametrize("family", get_families().values(), ids=lambda family: family.name)
def test_every_option_that_transformers_reads_is_understood(family: Family) -> None:
    made = config_class(family)()
    known = frozenset(name for name in dir(made) if not callable(getattr(type(made), name, None)))
    folder = SOURCE / "models" / model_type_to_module_name(family.name)
    files = sorted(folder.glob("modeling_*.py"))
    files = [file for file in files if family.name.replace("-", "_") in file.stem] or files
    assert files
    read = {name for file in files for name in options_read(file, known)}
    if family.base["variant"] == "decoder":
        read |= {name for file in OF_DECODERS for name in options_read(SOURCE / file, frozenset())}
    read |= set(made.attribute_map)
    derived = {name for name in read if isinstance(inspect.getattr_static(type(made), name, None), property)}
    private = {name for name in read if name.startswith("_")}
    assert len(read) > 8
    assert sorted(read - derived - private - OF_OTHER_LAYERS - get_known_options(family)) == []


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("hidden_sise", "hidden_size"),
        ("hiddensize", "hidden_size"),
        ("hidden_szie", "hidden_size"),
        ("num_hiden_layer", "num_hidden_layers"),
        ("hidden_size_per_layer_input", None),
        ("attention_dim", None),
        ("kv_lora_rank", None),
        ("num_layers", None),
    ],
)
def test_only_a_typing_error_is_a_near_name(wrong: str, near: str | None) -> None:
    known = ("hidden_size", "num_hidden_layers", "attention_bias", "q_lora_rank_x", "num_heads")
    assert find_typo(wrong, known) == near


def test_an_option_that_nothing_reads_is_noted_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """transformers ignores it too: its model of the same folder computes the same."""
    theirs: Any = made(case("plain"))
    theirs.save_pretrained(tmp_path / "theirs")
    file = tmp_path / "theirs" / "config.json"
    config = {**json.loads(file.read_text()), "hidden_sise": 3, "moe_frequency": 1, "max_sequence_length": None}
    file.write_text(json.dumps(config))
    with caplog.at_level(logging.WARNING, "zoo"):
        model: Any = load_network(tmp_path / "theirs")
        load_network(tmp_path / "theirs")
    rule = "ignored, since llama does not use them: hidden_sise (did you mean hidden_size?), moe_frequency"
    assert caplog.messages == [f"{file}: {rule}"]
    tokens = torch.arange(6, 17)[None]
    expected = LlamaForCausalLM.from_pretrained(tmp_path / "theirs", attn_implementation="eager").eval()(tokens).logits
    torch.testing.assert_close(model(tokens), expected, atol=1e-5, rtol=0)
    save(model, tmp_path / "back")
    back = json.loads((tmp_path / "back" / "config.json").read_text())
    assert (back["hidden_sise"], back["moe_frequency"]) == (3, 1)
    shown = zoo("show", "model=hub", f"model.path={tmp_path / 'theirs'}", "--json")
    assert shown.code == 0
    assert json.loads(shown.out)["parameters"] == sum(p.numel() for p in theirs.parameters())


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"is_causal": False}, "is_causal must be True, since no component supports another value: got False"),
        ({"attention_chunk_size": 256}, "attention_chunk_size must be None, since no component"),
        ({"sliding_window": 32}, "sliding_window must be None"),
        ({"layer_types": ["chunked_attention", "full_attention"]}, "layer_types must be full_attention for each layer"),
        ({"attention_bias": "yes"}, "attention_bias: must be true or false"),
    ],
)
def test_an_option_that_transformers_reads_and_no_part_computes_is_refused(options: dict[str, Any], line: str) -> None:
    sizes = {"model_type": "llama", "vocab_size": 61, "hidden_size": 32, "num_hidden_layers": 2}
    neutral = {"is_causal": True, "attention_chunk_size": None, "layer_types": ["full_attention"] * 2, "zzz": 1}
    config = {**sizes, "num_attention_heads": 4, "intermediate_size": 48, **neutral}
    assert read_published_config(config).ignored == ("zzz",)
    with pytest.raises(Refused, match=rf"^config\.json: {line}"):
        read_published_config({**config, **options})


def test_the_other_name_of_an_option_is_that_option() -> None:
    """GPT-2's ``hidden_size`` is ``n_embd`` to transformers, so it may not be passed over."""
    sizes = {"model_type": "gpt2", "vocab_size": 61, "n_positions": 40, "n_layer": 2, "n_head": 4}
    assert read_published_config({**sizes, "hidden_size": 32}).plan.dim == 32
    with pytest.raises(Refused, match="hidden_size must be equal to n_embd=16: got 32"):
        read_published_config({**sizes, "n_embd": 16, "hidden_size": 32})

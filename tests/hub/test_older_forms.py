"""Configs and tensors as older versions of transformers wrote them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from tests.hub.oracle import cases, made
from zoo.checks import Refused
from zoo.config.checkpoint_start import suggest_head
from zoo.config.compose import compose_run
from zoo.hub import describe, load_network
from zoo.hub.config_json import read_published_config
from zoo.hub.family_index import find_family
from zoo.hub.misfits import find_misfits
from zoo.hub.origin import Origin
from zoo.hub.plan_difference import compare_plans
from zoo.hub.save_checkpoint import choose_family
from zoo.model.build import build, check, make_component
from zoo.runs.config_sections import CheckpointConfig, ModelConfig

FILES = sorted((Path(__file__).parent / "configs").glob("*.json"))
TINY = {f"{family}-{case.name}": case for family, case in cases()}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_old_config_means_what_transformers_makes_of_it(file: Path) -> None:
    old = json.loads(file.read_text())["config"]
    kind = {key: value for key, value in old.items() if key != "model_type"}
    new = AutoConfig.for_model(old["model_type"], **kind).to_dict()
    # Of T5, transformers 5 writes that the head is tied, and lets the tensors tell.
    names = ["lm_head.weight"] if old["model_type"] == "t5" and not old.get("tie_word_embeddings", True) else None
    assert (
        list(map(str, compare_plans(read_published_config(old, names).plan, read_published_config(new, names).plan)))
        == []
    )


def checkpoint(name: str, folder: Path, **more: torch.Tensor) -> Path:
    """A tiny checkpoint with further tensors in it."""
    made(TINY[name]).save_pretrained(folder)
    tensors = load_file(folder / "model.safetensors")
    save_file(
        {**tensors, **{key.replace("__", "."): value for key, value in more.items()}}, folder / "model.safetensors"
    )
    return folder


def test_a_bias_of_logits_must_be_zero(tmp_path: Path) -> None:
    load_network(checkpoint("bart-as-published", tmp_path / "zero", final_logits_bias=torch.zeros(1, 61)))
    one = torch.zeros(1, 61)
    one[0, 7] = 0.5
    with pytest.raises(Refused, match=r"^final_logits_bias must be zero"):
        load_network(checkpoint("bart-as-published", tmp_path / "one", final_logits_bias=one))


@pytest.mark.parametrize(
    ("name", "more"),
    [
        (
            "t5-as-published",
            {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": torch.ones(32, 4)},
        ),
        (
            "gpt_neox-as-published",
            {
                "gpt_neox.layers.0.attention.bias": torch.ones(1, 1, 64, 64, dtype=torch.bool),
                "gpt_neox.layers.0.attention.masked_bias": torch.tensor(-1e9),
                "gpt_neox.layers.0.attention.rotary_emb.inv_freq": torch.ones(1),
            },
        ),
        ("openai_gpt-as-published", {"transformer.h.0.attn.bias": torch.ones(1, 1, 48, 48)}),
    ],
)
def test_what_older_files_hold_beside_the_model_is_left_out(
    name: str, more: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    load_network(checkpoint(name, tmp_path, **more))


def test_a_tied_tensor_may_be_repeated_but_not_differ(tmp_path: Path) -> None:
    table = load_network(checkpoint("t5-as-published", tmp_path / "once")).embedding.table.weight.detach()
    again = {f"{stack}.embed_tokens.weight": table.clone() for stack in ("encoder", "decoder")}
    load_network(checkpoint("t5-as-published", tmp_path / "again", **again, **{"lm_head.weight": table.clone()}))
    with pytest.raises(Refused, match=r"encoder\.embed_tokens\.weight must be equal to shared\.weight"):
        load_network(checkpoint("t5-as-published", tmp_path / "other", **{"encoder.embed_tokens.weight": table + 1}))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "t5", "tie_word_embeddings": False, "scale_decoder_outputs": True}, "scale_decoder_outputs"),
        ({"model_type": "t5", "feed_forward_proj": "twice-relu"}, "feed_forward_proj must be an activation function"),
        ({"model_type": "t5", "feed_forward_proj": "gated-tanhh"}, "dense_act_fn must be one of"),
        (
            {"model_type": "bart", "encoder_layers": 12, "num_hidden_layers": 3},
            "must be equal to encoder_layers=12",
        ),
        ({"model_type": "bart", "tie_word_embeddings": False}, "tie_word_embeddings must be True"),
        ({"model_type": "openai-gpt", "afn": "gelu_new"}, "afn must be one of gelu, relu"),
    ],
)
def test_what_cannot_be_meant_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused, match=message):
        read_published_config(config)


@pytest.mark.parametrize(
    ("family", "model", "path"),
    [
        ("t5", ["model=t5", "model.head.tied=false"], "scale_decoder_outputs"),
        ("t5", ["model=t5", "model.attention.scores.scale=0.5"], "attention.scores.scale"),
        ("bart", ["model=bart", "model.head.tied=false"], "head.tied"),
        ("bart", ["model=bart", "model.embedding.shared=false"], "embedding.shared"),
        ("gpt_neox", ["model=gpt_neox", "model.residual.norms=one"], "residual"),
        ("openai-gpt", ["model=gpt1", "model.hidden=512"], "hidden"),
    ],
)
def test_a_model_that_a_family_cannot_say_does_not_fit(family: str, model: list[str], path: str) -> None:
    _, plan, problems = check({**compose_run(model)["model"], "vocabulary": 100})
    assert problems == []
    assert plan is not None
    assert path in "\n".join(map(str, find_misfits(find_family(family), plan)))


def test_a_pickled_file_from_before_torch_1_6_is_read_as_weights_alone(tmp_path: Path) -> None:
    """That format is no zip file and cannot be mapped; the refusal without the flag names what to do."""
    folder = checkpoint("bert-as-published", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    expected = load_network(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    with pytest.raises(Refused, match=r"zoo import \S+ NEW_FOLDER --pickled converts its weights to safetensors"):
        load_network(folder)
    found = load_network(folder, pickled=True).state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    "scaling",
    [
        {"rope_type": "yarn", "factor": 4.0, "beta_fast": 8.0, "beta_slow": 8.0, "truncate": True},
        {"rope_type": "yarn", "factor": 4.0, "beta_fast": 8.0, "beta_slow": 8.0, "truncate": False},
        {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 2.0, "high_freq_factor": 2.0},
        {"rope_type": "linear", "factor": 1.0},
        {"rope_type": "yarn", "factor": 1.0},
    ],
    ids=str,
)
def test_the_extremes_of_rotary_scaling_are_those_of_transformers(scaling: dict[str, Any]) -> None:
    length = {} if scaling["rope_type"] == "linear" else {"original_max_position_embeddings": 64}
    rope = {"rope_theta": 10000.0, **scaling, **length}
    sizes = {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 8, "num_hidden_layers": 1}
    config = AutoConfig.for_model("llama", **sizes, max_position_embeddings=256, rope_parameters=rope)
    theirs = LlamaRotaryEmbedding(config)
    plan = read_published_config(config.to_dict()).plan
    position: Any = make_component(plan.stacks[-1].layers[0].position, 64, 2, 32, True)
    positions, queries = torch.arange(200)[None], torch.randn(1, 2, 200, 32)
    cosine, sine = theirs(queries, positions)
    expected, _ = apply_rotary_pos_emb(queries, queries, cosine, sine)
    torch.testing.assert_close(position.rotate_queries(queries, positions), expected, atol=1e-4, rtol=0)


def test_the_head_that_is_suggested_makes_a_model_that_its_family_can_say(tmp_path: Path) -> None:
    """A body alone has none; one that is only tied fits no family, and what does not fit is told of its own first."""
    folder = tmp_path / "body"
    made(TINY["bert-as-published"]).bert.save_pretrained(folder)
    hint = suggest_head(ModelConfig({}, CheckpointConfig(str(folder), "")))
    assert hint == "'model.head={tied: true, transform: true, bias: true, activation: gelu}'"
    body = {**describe(folder).plan.config, "vocabulary": 100}
    plans = []
    for override in (hint.strip("'"), "model.head.tied=true"):
        head = compose_run(["model=hub", f"model.path={folder}", override])["model"]["head"]
        _, plan, problems = check({**body, "head": head})
        assert problems == []
        assert plan is not None
        plans.append(plan)
    assert find_misfits(find_family("bert"), plans[0]) == []
    model = build({**body, "head": {"tied": True}}, 100, seed=0)
    with pytest.raises(Refused, match=r"fits no published family; .*:\nbert:\n"):
        choose_family(model, None, Origin("bert"))

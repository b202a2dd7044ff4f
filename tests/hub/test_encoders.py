"""Encoders as they lie in the world: older names, poolers beside heads, heads that are no part of ours."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    BertConfig,
    BertForPreTraining,
    ElectraConfig,
    ElectraForPreTraining,
    RobertaForMaskedLM,
)

from tests.hub.cases import bert, electra, roberta
from tests.hub.oracle import Case, made
from zoo.checks import Refused
from zoo.config.compose import compose_run
from zoo.hub import load_network, save
from zoo.hub.config_json import read_published_config
from zoo.hub.family_index import find_family
from zoo.hub.misfits import find_misfits
from zoo.model.build import check
from zoo.model.inputs import Inputs

TOKENS = torch.tensor([[7, 9, 12, 7, 30, 21], [8, 8, 6, 31, 7, 40]])


def written(model: Any, folder: Path, rename: Callable[[str], str] = str, **more: Any) -> Path:
    """A folder with a model of transformers under other names; options of config.json by keyword."""
    folder.mkdir()
    state = {rename(name): tensor.clone() for name, tensor in model.state_dict().items()}
    extra = {name: more.pop(name) for name in [name for name in more if isinstance(more[name], Tensor)]}
    save_file({**state, **extra}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**model.config.to_dict(), **more}))
    return folder


def of_2018(name: str) -> str:
    """As the first checkpoints of BERT call it."""
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


@pytest.fixture(scope="module")
def pretrained() -> Any:
    """A BERT with pooler and both heads."""
    return made(Case("pre-training", lambda: BertConfig(**bert.TINY), BertForPreTraining))


@torch.no_grad()
def test_a_bert_of_2018_loads_and_says_what_it_leaves_out(
    pretrained: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    buffer = {"bert.embeddings.position_ids": torch.arange(40.0)[None]}
    folder = written(pretrained, tmp_path / "old", of_2018, architectures=["BertForMaskedLM"], **buffer)
    with caplog.at_level(logging.WARNING, "zoo"):
        model: Any = load_network(folder)
    assert caplog.messages == [
        "kept beside the model, without being part of it: "
        "the task head of BertForMaskedLM (cls.seq_relationship.bias, cls.seq_relationship.weight)"
    ]
    expected = pretrained(TOKENS)
    torch.testing.assert_close(model(TOKENS), expected.prediction_logits, atol=1e-5, rtol=0)
    pooled = pretrained.bert(TOKENS).pooler_output
    torch.testing.assert_close(model.pool(TOKENS), pooled, atol=1e-5, rtol=0)
    save(model, tmp_path / "new")
    again, info = AutoModelForMaskedLM.from_pretrained(tmp_path / "new", output_loading_info=True)
    assert info["missing_keys"] == set()
    further = {"bert.pooler.dense", "cls.seq_relationship"}  # as in the published one
    assert info["unexpected_keys"] == {f"{name}.{kind}" for name in further for kind in ("weight", "bias")}
    torch.testing.assert_close(again(TOKENS).logits, expected.prediction_logits, atol=1e-5, rtol=0)
    found = AutoModel.from_pretrained(tmp_path / "new")(TOKENS).pooler_output
    torch.testing.assert_close(found, pooled, atol=1e-5, rtol=0)


@torch.no_grad()
def test_types_of_token_are_theirs(pretrained: Any, tmp_path: Path) -> None:
    model: Any = load_network(written(pretrained, tmp_path / "saved"))
    types = torch.tensor([[0, 0, 1, 1, 1, 0], [1, 1, 1, 0, 0, 1]])
    expected = pretrained(TOKENS, token_type_ids=types).prediction_logits
    found = model.logits(model.compute_hidden(Inputs(TOKENS, token_type=types)))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert not torch.allclose(model(TOKENS), found, atol=1e-2)


@torch.no_grad()
def test_a_body_may_keep_its_prefix(pretrained: Any, tmp_path: Path) -> None:
    """A body alone is mostly saved without ``bert.``, but some are saved with it."""
    folder = tmp_path / "prefixed"
    written(pretrained, folder, architectures=["BertModel"])
    state = {f"bert.{name}": tensor for name, tensor in pretrained.bert.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    model: Any = load_network(folder)
    assert model.head is None
    torch.testing.assert_close(model.pool(TOKENS), pretrained.bert(TOKENS).pooler_output, atol=1e-5, rtol=0)


def test_two_names_of_one_tensor_are_refused(pretrained: Any, tmp_path: Path) -> None:
    twice = {"bert.embeddings.LayerNorm.gamma": torch.ones(32)}
    folder = written(pretrained, tmp_path / "twice", **twice)
    with pytest.raises(Refused, match=r"two names for one tensor: bert\.embeddings\.LayerNorm\.(gamma|weight)$"):
        load_network(folder)


@torch.no_grad()
def test_a_discriminator_is_a_body(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    theirs: Any = made(Case("discriminator", lambda: ElectraConfig(**electra.TINY), ElectraForPreTraining))
    theirs.save_pretrained(tmp_path / "theirs")
    with caplog.at_level(logging.WARNING, "zoo"):
        model: Any = load_network(tmp_path / "theirs")
    assert "kept beside the model, without being part of it: the task head of ElectraForPreTraining" in caplog.text
    expected = theirs.electra(TOKENS).last_hidden_state
    torch.testing.assert_close(model.hidden_states(TOKENS), expected, atol=1e-5, rtol=0)
    save(model, tmp_path / "ours")
    again, info = ElectraForPreTraining.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert (info["missing_keys"], info["unexpected_keys"]) == (set(), set())
    torch.testing.assert_close(again(TOKENS).logits, theirs(TOKENS).logits, atol=1e-5, rtol=0)


def test_a_repeated_bias_must_repeat(tmp_path: Path) -> None:
    theirs: Any = made(Case("bias", roberta.CASES[0].config, RobertaForMaskedLM))
    assert "lm_head.decoder.bias" in theirs.state_dict()
    load_network(written(theirs, tmp_path / "same"))
    other = {"lm_head.decoder.bias": theirs.lm_head.bias.detach() + 1}
    with pytest.raises(Refused, match=r"^lm_head\.decoder\.bias must be equal to lm_head\.bias"):
        load_network(written(theirs, tmp_path / "other", **other))


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"model_type": "bert", "type_vocab_size": 0}, "type_vocab_size must be at least 1: got 0"),
        (
            {"model_type": "albert", "tie_word_embeddings": False},
            "tie_word_embeddings must be true unless embedding_size is hidden_size",
        ),
        (
            {"model_type": "bert", "position_embedding_type": "relative_key"},
            "position_embedding_type must be 'absolute'",
        ),
        ({"model_type": "bert", "is_decoder": True}, "is_decoder must be False"),
        (
            {"model_type": "roberta", "pad_token_id": 511, "max_position_embeddings": 512},
            "pad_token_id must be from 0 to 510, below max_position_embeddings - 1: got 511",
        ),
        ({"model_type": "roberta", "pad_token_id": "1"}, "pad_token_id must be from 0 to 510"),
        ({"model_type": "albert", "num_hidden_groups": 2}, "num_hidden_groups must be 1"),
        (
            {"model_type": "albert", "inner_group_num": 0},
            "num_hidden_layers must be from 1 to 4096 with inner_group_num=0",
        ),
        (
            {"model_type": "electra", "tie_word_embeddings": False},
            "tie_word_embeddings must be true unless embedding_size is hidden_size",
        ),
        (
            {"model_type": "modernbert", "global_attn_every_n_layers": 0},
            "global_attn_every_n_layers must be at least 1",
        ),
        (
            {"model_type": "modernbert", "layer_types": ["chunked_attention"] * 22},
            "layer_types must be full_attention or",
        ),
        ({"model_type": "modernbert", "rope_scaling": {"type": "linear", "factor": 2.0}}, "rope_scaling must be None"),
    ],
)
def test_what_an_encoder_cannot_be_is_refused(config: Mapping[str, Any], line: str) -> None:
    with pytest.raises(Refused) as refused:
        read_published_config(config)
    (found,) = str(refused.value).splitlines()
    assert found.startswith(f"config.json: {line}")


@pytest.mark.parametrize(
    ("family", "over", "line"),
    [
        ("albert", ["model.layers=5", "model.distinct_layers=2"], "layers: 5, not 4"),
        ("electra", ["model.embedding.width=${model.dim}"], "embedding.width: 256, not null"),
        ("roberta", ["model.position.offset=0"], "pad_token_id must be from 0 to 510"),
        ("bert", ["+model.head.activation=relu"], "head.activation: relu, not gelu"),
        ("bert", ["model.embedding.token_types=0"], "type_vocab_size must be at least 1: got 0"),
        ("bert", ["model.head=null"], "head: no head, not one of BertForMaskedLM"),
        ("modernbert", ["model.residual.first_norm=true"], "residual.first_norm: true, not false"),
        ("modernbert", ["+model.pooler=true"], "head: head and pooler, not one of ModernBertForMaskedLM"),
    ],
)
def test_what_a_family_cannot_say_is_told(family: str, over: list[str], line: str) -> None:
    _, plan, problems = check({**compose_run([f"model={family}", *over])["model"], "vocabulary": 61})
    assert problems == []
    assert plan is not None
    assert any(line in str(difference) for difference in find_misfits(find_family(family), plan))

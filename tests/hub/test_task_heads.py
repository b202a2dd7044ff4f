"""Task heads: the body is read, the head is kept beside it and written again; counts are those of transformers."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from tests.command import zoo
from tests.hub.cases import (
    albert,
    bart,
    bert,
    bloom,
    distilbert,
    electra,
    falcon,
    gpt2,
    gpt_bigcode,
    gpt_neox,
    gptj,
    llama,
    modernbert,
    qwen2,
    roberta,
    t5,
)
from tests.hub.oracle import Case, made
from zoo.checks import Refused
from zoo.config.compose import compose_run
from zoo.hub import get_families, load_network, save
from zoo.hub.initial_weights import start_from_checkpoint
from zoo.hub.load_checkpoint import describe
from zoo.hub.origin import Origin
from zoo.hub.save_checkpoint import choose_family
from zoo.hub.task_heads import TaskHead
from zoo.inspect.summary import describe as describe_model
from zoo.model.build import build, check
from zoo.model.cost import build_on_meta

TOKENS = torch.tensor([[7, 9, 12, 7, 30, 21], [8, 8, 6, 31, 7, 40]])
TINY = {
    module.__name__.rpartition(".")[2]: module.TINY
    for module in (
        *(albert, bart, bert, bloom, distilbert, electra, falcon, gpt2, gpt_bigcode, gpt_neox),
        *(gptj, llama, modernbert, qwen2, roberta, t5),
    )
}
WITH_TASK = [
    (family.name.replace("-", "_"), name)
    for family in get_families().values()
    for name, form in family.architectures.items()
    if form.task is not None and family.name in TINY and hasattr(transformers, name)
]


def theirs(family: str, name: str, **options: Any) -> Any:
    kind: Any = getattr(transformers, name)
    return made(
        Case(
            name,
            lambda: kind.config_class(
                **{**TINY[family], "num_labels": 2 if name.endswith("QuestionAnswering") else 4, **options}
            ),
            kind,
        )
    )


def test_classes_with_task_heads_are_many() -> None:
    assert len(WITH_TASK) > 35
    assert len({family for family, _ in WITH_TASK}) == len(TINY)


@pytest.mark.parametrize(("family", "name"), WITH_TASK)
@torch.no_grad()
def test_a_task_head_goes_through_unchanged(family: str, name: str, tmp_path: Path) -> None:
    model = theirs(family, name)
    model.save_pretrained(tmp_path / "theirs")
    described = describe(tmp_path / "theirs")
    assert described.task is not None
    loaded: Any = load_network(tmp_path / "theirs")
    counted = sum(parameter.numel() for parameter in model.parameters())
    shared = sum(parameter.numel() for parameter in loaded.parameters())
    assert shared + described.task.parameters == counted
    body = getattr(model, "transformer", model.base_model)
    if loaded.plan.variant == "encoder_decoder":
        encoded = body.encoder(TOKENS)[0]
        expected = body.decoder(input_ids=TOKENS, encoder_hidden_states=encoded)[0]
        found = loaded.hidden_states(TOKENS, TOKENS)
    else:
        expected, found = body(TOKENS).last_hidden_state, loaded.hidden_states(TOKENS)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    save(loaded, tmp_path / "back")
    old, new = (load_file(tmp_path / each / "model.safetensors") for each in ("theirs", "back"))
    assert old.keys() == new.keys()
    assert all(torch.equal(old[key], new[key]) for key in old)
    assert json.loads((tmp_path / "back" / "config.json").read_text())["architectures"] == [name]
    one, other = (type(model).config_class.from_pretrained(tmp_path / each) for each in ("theirs", "back"))
    assert one.num_labels == other.num_labels


def test_the_form_of_the_project_keeps_it_too(tmp_path: Path) -> None:
    model = theirs("llama", "LlamaForQuestionAnswering")
    model.save_pretrained(tmp_path / "theirs")
    save(load_network(tmp_path / "theirs"), tmp_path / "own", family="zoo")
    save(load_network(tmp_path / "own"), tmp_path / "back")
    old, new = (load_file(tmp_path / each / "model.safetensors") for each in ("theirs", "back"))
    assert old.keys() == new.keys()
    assert all(torch.equal(old[key], new[key]) for key in old)
    config = json.loads((tmp_path / "own" / "config.json").read_text())
    for wrong in ({"architecture": "X", "shapes": {"a": "b"}}, [], {"architecture": 1, "shapes": {}}):
        (tmp_path / "own" / "config.json").write_text(json.dumps({**config, "task_head": wrong}))
        with pytest.raises(Refused, match="task_head must have an architecture and shapes"):
            load_network(tmp_path / "own")


def test_another_family_does_not_get_the_head(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    theirs("llama", "LlamaForSequenceClassification").save_pretrained(tmp_path / "theirs")
    model = load_network(tmp_path / "theirs")
    assert isinstance(model.origin, Origin)
    with caplog.at_level(logging.WARNING, "zoo"):
        save(model, tmp_path / "other", family="mistral")
    head = "the task head of LlamaForSequenceClassification (score.weight)"
    assert f"left out, since mistral does not have it: {head}" in caplog.messages
    assert not any("score" in name for name in load_file(tmp_path / "other" / "model.safetensors"))


def test_show_counts_what_transformers_counts(tmp_path: Path) -> None:
    model = theirs("bert", "BertForSequenceClassification")
    model.save_pretrained(tmp_path)
    shown = describe_model(["model=hub", f"model.path={tmp_path}"])
    whole = sum(parameter.numel() for parameter in model.parameters())
    assert shown["task_head"] == {"architecture": "BertForSequenceClassification", "parameters": 4 * 32 + 4}
    assert shown["parameters"] + shown["task_head"]["parameters"] == whole
    told = zoo("show", "model=hub", f"model.path={tmp_path}")
    line = f"BertForSequenceClassification has {whole:,} parameters: 132 are kept beside the model"
    assert line in " ".join(told.out.split())


def test_a_training_leaves_the_head_behind_and_says_so(tmp_path: Path) -> None:
    theirs("bert", "BertForTokenClassification").save_pretrained(tmp_path / "theirs")
    body = load_network(tmp_path / "theirs")
    assert body.plan is not None
    begun = start_from_checkpoint(build(body.plan.config, body.vocabulary, seed=1), tmp_path / "theirs", "").weights
    assert begun.left == ("classifier.weight", "classifier.bias")
    assert begun.new == ()
    assert "left behind: classifier.weight, classifier.bias" in str(begun)


def test_a_model_that_fits_several_families_is_written_as_the_one_that_has_the_parts() -> None:
    """RoBERTa, not CamemBERT, which comes before it in the alphabet; but what came from CamemBERT goes back to it."""
    _, plan, _ = check({**compose_run(["model=roberta"])["model"], "vocabulary": 61})
    assert plan is not None
    model = build_on_meta(plan, 61)
    assert choose_family(model, None, Origin("zoo")).name == "roberta"
    assert choose_family(model, None, Origin("camembert")).name == "camembert"


def test_a_head_of_another_size_is_refused(tmp_path: Path) -> None:
    model = theirs("bert", "BertForSequenceClassification")
    model.save_pretrained(tmp_path / "it")
    file = tmp_path / "it" / "config.json"
    config = json.loads(file.read_text())
    del config["id2label"]
    file.write_text(json.dumps({**config, "num_labels": 3}))
    with pytest.raises(Refused, match=r"^classifier.weight must be \[3, 32\] according to config.json: got \[4, 32\]"):
        load_network(tmp_path / "it")


@pytest.mark.parametrize(
    ("family", "given", "read"),
    [
        ("llama", "LLaMAForCausalLM", "LlamaForCausalLM"),
        ("ernie4_5", "Ernie4_5_ForCausalLM", "Ernie4_5ForCausalLM"),
        ("llama", "SomeoneForTokenClassification", "LlamaForTokenClassification"),
        ("bert", "TinyBertForSequenceClassification", "BertForSequenceClassification"),
    ],
)
def test_names_of_classes_may_be_spelled_otherwise(family: str, given: str, read: str) -> None:
    from zoo.hub.config_json import read_published_config as read_config

    sizes = {**llama.TINY, **bert.TINY, "model_type": family}
    one, other = (read_config({**sizes, "architectures": [name]}) for name in (given, read))
    assert one.plan == other.plan
    assert one.task == other.task or (one.task and other.task and one.task.shapes == other.task.shapes)
    with pytest.raises(Refused, match="architectures must be one of"):
        read_config({**sizes, "architectures": ["SomeoneForCrypto"]})


def test_labels_are_counted_as_transformers_counts_them() -> None:
    head = TaskHead({"it": ("labels",)}, labels=3)
    for config in ({"num_labels": 5}, {"id2label": {"0": "a", "1": "b"}}, {}):
        assert head.compute_shapes(config, 8)["it"] == (transformers.BartConfig(**config).num_labels,)

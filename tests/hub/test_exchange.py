"""Models out and in: a run as a folder that transformers reads, a checkpoint as one of ours, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer, LlamaConfig

from tests.command import ON_CPU, SMALL, checked, zoo
from tests.hub.cases.llama import TINY
from tests.hub.oracle import Case, made, padded
from zoo.generation.trained_model import open_model
from zoo.hub import load_network
from zoo.hub.saved_model import SavedModel, load_saved_model
from zoo.training.run import run_folder, train

PAIRS = ["data=numbers", "data.limit=200", "data.length=64", "data/tokenizer=bytes"]
MODELS = {
    "llama": ["model=llama/tiny", "model.attention.kv_heads=1", "objective=causal_lm"],
    "gpt2": ["model=gpt/tiny", "model.position.length=64", "model.hidden=128", "model.dropout=0.1"],
    "bert": ["model=bert/tiny", "model.position.length=64", "objective=masked_lm"],
    "t5": ["model=t5"],
    "bart": ["model=bart", "model.position.length=64"],
}
TEXTS = ("123", "987 654")
Run = Callable[[str], Path]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The folder of a short training, made once for each model."""
    place, known = tmp_path_factory.mktemp("runs"), {}

    def make(name: str) -> Path:
        if name not in known:
            rest = ["steps=3", "evaluate=2", "optimizer.lr=0.01", f"runs={place}"]
            config = checked(*MODELS[name], *SMALL, *ON_CPU, *PAIRS, *rest)
            train(config)
            known[name] = run_folder(config).path
        return known[name]

    return make


def exported(run: Path, target: Path, *options: str) -> str:
    done = zoo("export", str(run), str(target), *options)
    assert done.code == 0, done.err
    return done.out


def greedy(source: SavedModel, rows: list[list[int]], count: int) -> list[list[int]]:
    """The likeliest tokens one after another, each row alone and all of it read again for every token."""
    written = []
    for row in rows:
        tokens = list(row)
        for _ in range(count):
            with torch.no_grad():
                tokens.append(int(source.model(torch.tensor([tokens]))[0, -1].argmax()))
        written.append(tokens[len(row) :])
    return written


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_a_run_is_a_model_of_transformers(family: str, run: Run, tmp_path: Path) -> None:
    told = exported(run(family), tmp_path / "out")
    ours = load_saved_model(run(family))
    count = sum(parameter.numel() for parameter in ours.model.parameters())
    assert told.startswith(f"{tmp_path / 'out'}: family {family}, {count:,} parameters, float32\n")

    model, info = AutoModelForCausalLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    batch = tokenizer(list(TEXTS), return_tensors="pt", padding=True)

    vocabulary = ours.vocabulary
    assert ours.tokenizer is not None
    rows = [[vocabulary.bos, *ours.tokenizer.encode(text).ids, vocabulary.sep] for text in TEXTS]  # as in training
    tokens, mask = padded([torch.tensor(row) for row in rows], left=True)
    assert batch["input_ids"].tolist() == tokens.tolist()
    with torch.no_grad():  # theirs alone, since generate alone tells GPT-2 of padding in front
        theirs = torch.cat([model(torch.tensor([row])).logits[0] for row in rows])
        own = ours.model(tokens, mask)[mask.bool()]
    assert float((theirs - own).abs().max()) < 1e-5
    assert tokenizer.decode(batch["input_ids"][1], skip_special_tokens=True) == TEXTS[1]

    config = model.config
    ids = (config.pad_token_id, config.bos_token_id, config.eos_token_id)
    assert ids == (vocabulary.pad, vocabulary.bos, vocabulary.eos)
    assert config.max_position_embeddings == 64
    found = model.generate(**batch, max_new_tokens=8, do_sample=False)[:, tokens.shape[1] :].tolist()
    for theirs_row, own_row in zip(found, greedy(ours, rows, 8), strict=True):
        end = own_row.index(vocabulary.eos) + 1 if vocabulary.eos in own_row else len(own_row)
        assert theirs_row[:end] == own_row[:end]


def test_an_encoder_is_a_model_of_transformers(run: Run, tmp_path: Path) -> None:
    exported(run("bert"), tmp_path / "out", "--family", "bert")
    ours = load_saved_model(run("bert"))
    model, info = AutoModelForMaskedLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    batch = tokenizer(["12<mask>", "7"], return_tensors="pt", padding=True)
    assert int((batch["input_ids"] == ours.vocabulary.mask).sum()) == 1
    with torch.no_grad():
        theirs = model(**batch).logits
        own = ours.model(batch["input_ids"], batch["attention_mask"])
    assert float((theirs - own)[batch["attention_mask"].bool()].abs().max()) < 1e-5


@pytest.mark.parametrize("family", ["t5", "bart"])
def test_an_encoder_decoder_is_a_model_of_transformers(family: str, run: Run, tmp_path: Path) -> None:
    exported(run(family), tmp_path / "out", "--family", family)
    ours, bos = load_saved_model(run(family)), load_saved_model(run(family)).vocabulary.bos
    model, info = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    source = tokenizer("123", return_tensors="pt")["input_ids"]
    target = torch.tensor([[bos, 40, 41, 42]])
    with torch.no_grad():
        theirs = model(input_ids=source, decoder_input_ids=target).logits
        own = ours.model(source, target)
    assert float((theirs - own).abs().max()) < 1e-5
    written: list[int] = model.generate(source, max_new_tokens=6, do_sample=False, num_beams=1)[0].tolist()
    tokens = [bos]
    while len(tokens) < 7 and tokens[-1] != ours.vocabulary.eos:
        with torch.no_grad():
            tokens.append(int(ours.model(source, torch.tensor([tokens]))[0, -1].argmax()))
    assert written[: len(tokens)] == tokens


def test_what_matters_in_training_only_is_told_as_left_behind(run: Run, tmp_path: Path) -> None:
    told = exported(run("llama"), tmp_path / "out")
    assert "left behind" not in told
    place = tmp_path / "config.yaml"
    place.write_text((run("llama") / "config.yaml").read_text().replace("  dropout: 0.0", "  dropout: 0.25", 1))
    for name in ("model.safetensors", "tokenizer.json", "result.json"):
        (tmp_path / name).write_bytes((run("llama") / name).read_bytes())
    lines = exported(tmp_path, tmp_path / "dropped").splitlines()
    assert lines[lines.index("left behind, since it matters in training only:") + 1 :] == ["  dropout: 0.25"]


def test_that_a_source_was_seen_both_ways_is_told(run: Run, tmp_path: Path) -> None:
    said = "trained with bidirectional attention to sources"
    assert said in exported(run("gpt2"), tmp_path / "both")  # prefix_lm
    assert said in exported(run("gpt2"), tmp_path / "native", "--family=zoo")  # it keeps no objective either
    assert not open_model(tmp_path / "native").prompting.both_ways
    assert said not in exported(run("llama"), tmp_path / "causal")


def test_a_family_may_be_named_by_a_preset(run: Run, tmp_path: Path) -> None:
    assert "family gpt2, " in exported(run("gpt2"), tmp_path / "out", "--family", "gpt")
    done = zoo("export", str(run("gpt2")), str(tmp_path / "other"), "--family", "gpt1")
    assert done.code == 2
    assert "the model does not fit openai-gpt:" in done.err
    assert "the model fits family gpt2" in done.err
    done = zoo("export", str(run("gpt2")), str(tmp_path / "other"), "--family", "gtp1")
    assert "zoo: unknown family 'gtp1': did you mean gpt1? " in done.err


def test_shards_are_as_small_as_asked_for(run: Run, tmp_path: Path) -> None:
    exported(run("llama"), tmp_path / "whole")
    exported(run("llama"), tmp_path / "cut", "--shard=20000")
    files = sorted((tmp_path / "cut").glob("model-*.safetensors"))
    parts = [load_file(file) for file in files]
    assert len(files) > 1
    assert all(len(part) == 1 or sum(map(_bytes, part.values())) <= 20_000 for part in parts)
    same(load_file(tmp_path / "whole" / "model.safetensors"), {k: v for part in parts for k, v in part.items()})
    AutoModelForCausalLM.from_pretrained(tmp_path / "cut")


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) and one[name].dtype == other[name].dtype for name in one)


def published(folder: Path, dtype: torch.dtype = torch.float32, **options: Any) -> Path:
    case = Case("tiny", lambda: LlamaConfig(**{**TINY, **options}), AutoModelForCausalLM._model_mapping[LlamaConfig])
    made(case).to(dtype).save_pretrained(folder)
    return folder


def test_a_checkpoint_becomes_ours_and_goes_back_without_loss(tmp_path: Path) -> None:
    first = published(tmp_path / "first", torch.bfloat16, num_key_value_heads=2, eos_token_id=[5, 6])
    (first / "tokenizer_config.json").write_text('{"model_max_length": 77}')
    done = zoo("import", str(first), str(tmp_path / "own"))
    assert done.code == 0, done.err
    assert "family zoo" in done.out
    assert "bfloat16" in done.out
    config = json.loads((tmp_path / "own" / "config.json").read_text())
    assert config["model_type"] == "zoo"
    assert config["model"]["attention"]["kv_heads"] == 2
    assert "stack.layers.1.attention.key.weight" in load_file(tmp_path / "own" / "model.safetensors")
    exported(tmp_path / "own", tmp_path / "back")
    same(load_file(first / "model.safetensors"), load_file(tmp_path / "back" / "model.safetensors"))
    before, after = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("first", "back"))
    again = LlamaConfig(**after).to_dict()
    assert {key: again[key] for key in before if key != "transformers_version"} == {
        key: value for key, value in before.items() if key != "transformers_version"
    }
    for name in ("tokenizer_config.json", "generation_config.json"):
        assert (tmp_path / "back" / name).read_bytes() == (first / name).read_bytes()


def test_a_model_that_fits_no_family_says_why_and_is_kept_in_our_own_form(tmp_path: Path) -> None:
    rest = [*SMALL, *ON_CPU, *PAIRS, "steps=1", "evaluate=1", f"runs={tmp_path / 'runs'}"]
    config = checked("model=llama/tiny", "model/attention=retention", "objective=causal_lm", *rest)
    train(config)
    run = run_folder(config).path
    done = zoo("export", str(run), str(tmp_path / "out"))
    assert done.code == 2
    assert "zoo: the model fits no published family" in done.err
    assert "retention" in done.err
    assert "family zoo" in done.err
    assert not (tmp_path / "out").exists()
    asked = zoo("export", str(run), str(tmp_path / "out"), "--family", "llama")
    assert asked.err.splitlines()[:2] == [
        "zoo: the model does not fit llama:",
        "zoo:   attention: retention, not grouped_query",
    ]
    assert "fits family" not in asked.err
    exported(run, tmp_path / "own", "--family=zoo")
    tokens = torch.arange(40, 50)[None]
    with torch.no_grad():
        assert torch.equal(load_network(tmp_path / "own")(tokens), load_saved_model(run).model(tokens))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "nowhere"], "two folders must be given, SOURCE and TARGET: got nowhere"),
        (["export", "nowhere", "out"], "neither a run nor a checkpoint"),
        (["export", "a", "b", "--shard", "2G"], "--shard: must be a whole number: got 2G"),
        (["export", "a", "b", "--shard=0"], "--shard: must be a positive number of bytes: got 0"),
        (["export", "a", "b", "--familie", "llama"], "did you mean --family"),
        (["import", "a", "b", "--family=llama"], "unknown flag '--family=llama'"),
    ],
)
def test_what_is_asked_wrongly_is_refused(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = zoo(*arguments)
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert message in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_has_not_ended_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes((run("llama") / "config.yaml").read_bytes())
    assert "has not finished" in zoo("export", str(tmp_path), str(tmp_path / "out")).err

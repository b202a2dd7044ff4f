"""Training that begins at a checkpoint: its loss, its content in the run's name, and parts of it swapped."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import yaml
from lightning.pytorch.callbacks import Callback
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from tests.command import ON_CPU, zoo
from tests.hub.oracle import Case, made
from zoo.checks import Refused
from zoo.config.checking import CheckedConfig, check_run
from zoo.config.compose import compose_run
from zoo.data.batch import DocumentBatch
from zoo.hub import load_network
from zoo.hub.origin import Origin, read_origin, write_origin
from zoo.hub.saved_model import load_saved_model
from zoo.hub.weight_transfer import transfer
from zoo.model import build
from zoo.runs.run_config import RunConfig
from zoo.training import run as run_module
from zoo.training.run import prepare_data, run_folder, train

SIZES: dict[str, Any] = {
    "vocab_size": 120,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 64,
}
LETTERS = "abcdefghijklmnopqrstuvwxyz 0123456789"


def checked(*overrides: str) -> CheckedConfig:
    found = check_run(compose_run(overrides))
    found.require()
    return found


def refusal(overrides: list[str]) -> list[str]:
    return list(check_run(compose_run(overrides)).problems)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("llama"))


def tiny(folder: Path, seed: int = 0) -> Path:
    """A model of transformers and a tokenizer of 39 characters, with two special tokens."""
    made(Case("tiny", partial(LlamaConfig, **SIZES), LlamaForCausalLM), seed).save_pretrained(folder)
    names = ["<s>", "</s>", *LETTERS]
    built = Tokenizer(models.BPE({name: number for number, name in enumerate(names)}, []))
    built.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    built.add_special_tokens(["<s>", "</s>"])
    built.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def rest(tmp_path: Path) -> list[str]:
    """Overrides of a tiny training on a text of letters."""
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(f"{i} bottles of beer on the wall {i} bottles take {i % 7} down" for i in range(60)))
    data = ["data=text", f"data.path={text}", "data.unit=paragraph", "data.length=32"]
    return [*data, *ON_CPU, "batch=8", "steps=4", "evaluate=4", "optimizer.lr=0.01", f"runs={tmp_path / 'runs'}"]


def test_it_begins_at_the_loss_of_the_checkpoint(llama: Path, rest: list[str]) -> None:
    config = checked("model=hub", f"model.path={llama}", *rest, "steps=1", "optimizer.lr=0", "model.vocabulary=120")
    assert config.config.data.tokenizer.options["path"] == str(llama / "tokenizer.json")
    result = train(config)
    rows = prepare_data(config.config).validation
    model = LlamaForCausalLM.from_pretrained(llama).eval()
    loss, count = 0.0, 0
    for number in range(len(rows)):
        batch = rows.get_batch([number])
        assert isinstance(batch, DocumentBatch)
        for document in batch.segment.unique():
            if document >= 0:
                tokens = batch.tokens[batch.segment == document]
                with torch.no_grad():
                    logits = model(tokens[None, :-1]).logits[0]
                loss += float(F.cross_entropy(logits, tokens[1:], reduction="sum"))
                count += len(tokens) - 1
    assert result.metrics["loss"] == pytest.approx(loss / count, rel=1e-5)
    assert result.checkpoint.family == "llama"
    assert result.checkpoint.new == result.checkpoint.left == ()


def test_a_vocabulary_grows_for_the_special_tokens_that_its_tokenizer_lacks(tmp_path: Path, rest: list[str]) -> None:
    folder = tiny(tmp_path / "checkpoint")
    cut = {**SIZES, "vocab_size": 39}
    made(Case("tiny", partial(LlamaConfig, **cut), LlamaForCausalLM)).save_pretrained(folder)
    config = checked("model=hub", f"model.path={folder}", *rest)
    result = train(config)
    size = 39 + 1  # pad; causal_lm needs no other
    assert config.config.model.options["vocabulary"] == size
    converted = dict.fromkeys(("embedding.table.weight", "head.weight"), f"39 rows kept, {size - 39} new")
    assert result.checkpoint.converted == converted
    assert load_saved_model(run_folder(config).path).model.vocabulary == size
    asked = checked("model=hub", f"model.path={folder}", "model.vocabulary=39", *rest)
    with pytest.raises(ValueError, match="must be at least that of the data: got 39, the data has 40"):
        train(asked)


class Stop(Callback):
    """Ends a training as a kill would, at one step."""

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == 3:
            raise RuntimeError("stopped")


def test_it_goes_on_bit_for_bit(llama: Path, rest: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swapped = ["model/attention=grouped_query", "model.attention.kv_heads=2", "model.dropout=0.1", "checkpoint=2"]
    config = checked("model=hub", f"model.path={llama}", *swapped, *rest)
    with monkeypatch.context() as patched:
        original = run_module._build_parts

        def stopped(*given: Any) -> Any:
            *others, callbacks = original(*given)
            return *others, [*callbacks, Stop()]

        patched.setattr(run_module, "_build_parts", stopped)
        with pytest.raises(RuntimeError, match="stopped"):
            train(config)
    assert run_folder(config).list_checkpoints()
    one = train(config)
    again = checked("model=hub", f"model.path={llama}", *swapped, *rest, f"runs={tmp_path / 'undisturbed'}")
    other = train(again)
    assert one.metrics["loss"] == other.metrics["loss"]
    files = [run_folder(each).path / "model.safetensors" for each in (config, again)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert one.checkpoint == other.checkpoint


def test_the_content_of_the_checkpoint_names_the_run(tmp_path: Path, rest: list[str]) -> None:
    folder = tiny(tmp_path / "checkpoint")
    first = checked("model=hub", f"model.path={folder}", *rest)
    assert checked("model=hub", f"model.path={folder}", *rest).hash == first.hash
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] += 1e-3
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    second = checked("model=hub", f"model.path={folder}", *rest)
    assert second.hash != first.hash
    assert second.plan == first.plan
    assert "holds another checkpoint now" in " ".join(recheck(first.config))
    assert recheck(second.config) == ()


def recheck(config: RunConfig) -> tuple[str, ...]:
    """What is said of a config that was checked before."""
    found = check_run(config.as_mapping())
    if not found.problems:
        assert found.config == config
    return found.problems


def test_heads_are_pooled_and_all_else_is_kept(llama: Path, rest: list[str]) -> None:
    swapped = ["model/attention=grouped_query", "model.attention.kv_heads=2"]
    lines = ["model=hub", f"model.path={llama}", *swapped, *rest, "optimizer.lr=0"]
    done = zoo("train", *lines)
    assert done.code == 0, done.err
    run = run_folder(checked(*lines)).path
    ways = {f"stack.layers.0-1.attention.{part}.weight": "4 heads pooled to 2" for part in ("key", "value")}
    told = json.loads((run / "result.json").read_text())["checkpoint"]
    assert told["converted"] == ways
    assert (told["new"], told["left"]) == ([], [])
    assert "kept 17 of 21 tensors; converted: stack.layers.0-1.attention.key.weight (4 heads pooled to 2)" in done.out
    theirs, ours = load_file(llama / "model.safetensors"), load_file(run / "model.safetensors")
    for layer in (0, 1):
        for part in ("key", "value"):
            heads = theirs[f"model.layers.{layer}.self_attn.{part[0]}_proj.weight"].view(4, 8, 32)
            mean = torch.cat([(heads[0] + heads[1]) / 2, (heads[2] + heads[3]) / 2])
            assert torch.allclose(ours[f"stack.layers.{layer}.attention.{part}.weight"], mean, atol=1e-7)
        up = f"layers.{layer}.mlp.up_proj.weight", f"layers.{layer}.ffn.up.weight"
        assert torch.equal(ours[f"stack.{up[1]}"], theirs[f"model.{up[0]}"])


def forward(model: Any) -> Tensor:
    with torch.no_grad():
        out: Tensor = model.eval()(torch.arange(3, 19)[None])
    return out


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"attention": {"name": "grouped_query", "kv_heads": 2}}, {"attention": {"name": "multi_head"}}),
        ({"head": {"tied": True}}, {"head": {"tied": False}}),
        ({"vocabulary": 40}, {"vocabulary": 50}),
        ({"position": {"name": "learned", "length": 20}}, {"position": {"name": "learned", "length": 30}}),
    ],
    ids=["heads-repeated", "head-untied", "tokens-added", "positions-added"],
)
def test_what_can_be_converted_without_loss_computes_the_same(before: Any, after: Any) -> None:
    base = {
        "variant": "decoder",
        "dim": 32,
        "layers": 2,
        "vocabulary": 40,
        "attention": {"name": "multi_head", "bias": "all", "qk_norm": "full"},
        "ffn": {"name": "mlp"},
        "norm": {"name": "rms"},
        "position": {"name": "rotary"},
        "residual": {"name": "pre"},
    }
    for each in (before, after):
        if "attention" in each:
            each["attention"] |= {"bias": "all", "qk_norm": "none"}
    old, new = (build.build({**base, **what}, 40, seed=seed) for seed, what in enumerate((before, after)))
    for parameter in old.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    assert not torch.allclose(forward(new)[..., :40], forward(old), atol=1e-3)
    moved = transfer(old, new)
    assert moved.new == ()
    assert torch.allclose(forward(new)[..., :40], forward(old), atol=1e-5)


def test_other_parts_are_new_and_what_has_no_place_is_left(llama: Path) -> None:
    old = load_network(llama)
    assert old.plan is not None
    config = {**old.plan.config, "layers": 3, "ffn": {"name": "mlp", "bias": True}, "dropout": 0.5}
    told = transfer(old, build.build(config, 120, seed=1)).join_layers()
    assert told.converted == {}
    assert told.left == ("stack.layers.0-1.ffn.gate.weight",)
    assert "stack.layers.0-2.ffn.up.bias" in told.new
    assert "stack.layers.2.attention.query.weight" in told.new
    assert "stack.layers.0-1.ffn.up.weight" in told.kept


def test_show_needs_no_weights(tmp_path: Path) -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=77, n_positions=48, n_embd=24, n_layer=2, n_head=3))
    model.config.save_pretrained(tmp_path)
    done = zoo("show", "model=hub", f"model.path={tmp_path}", "--json")
    assert done.code == 0, done.err
    described = json.loads(done.out)
    assert described["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert described["length"] == 48
    assert described["model"]["path"] == str(tmp_path)


def test_what_is_missing_is_said_in_one_line(tmp_path: Path, rest: list[str]) -> None:
    assert refusal(["model=hub"]) == ["model.path: must be given as the folder of a checkpoint: got '???'"]
    assert zoo("show", "model=hub").err == "zoo: model.path: must be given as the folder of a checkpoint: got '???'\n"
    nowhere = tmp_path / "nowhere"
    assert refusal(["model=hub", f"model.path={nowhere}", *rest]) == [f"model.path: {nowhere}/config.json is missing"]
    LlamaConfig(**SIZES).save_pretrained(tmp_path)
    assert refusal(["model=hub", f"model.path={tmp_path}", *rest]) == [
        f"model.path: {tmp_path} has no checkpoint: there is neither model.safetensors nor model.safetensors.index.json"
    ]
    tiny(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    assert refusal(["model=hub", f"model.path={tmp_path}", *rest]) == [
        f"data.tokenizer: {tmp_path} has no tokenizer.json, vocab.txt, or vocab.json with merges.txt: "
        "choose a tokenizer, as by data/tokenizer=bytes"
    ]
    assert refusal(["model=hub", f"model.path={tmp_path}", "data/tokenizer=characters", *rest]) == []
    wrong = refusal(
        ["model=hub", f"model.path={tmp_path}", "data/tokenizer=bytes", "model.attention.kv_heads=3", *rest]
    )
    assert wrong == ["model.attention.kv_heads: kv_heads must divide heads: got kv_heads=3, heads=4"]


def test_a_fine_tuned_model_goes_out_as_what_it_was(llama: Path, rest: list[str], tmp_path: Path) -> None:
    config = checked("model=hub", f"model.path={llama}", *rest)
    train(config)
    done = zoo("export", str(run_folder(config).path), str(tmp_path / "out"))
    assert "family llama" in done.out
    with torch.no_grad():
        theirs = LlamaForCausalLM.from_pretrained(tmp_path / "out")(torch.arange(3, 19)[None]).logits
    assert torch.allclose(theirs, forward(load_saved_model(run_folder(config).path).model), atol=1e-5)


def test_arms_of_a_study_begin_at_one_checkpoint(
    llama: Path, rest: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs = (line.split("=", 1) for line in rest if not line.startswith("runs="))
    chosen = {key: yaml.safe_load(value) for key, value in pairs}
    study = {
        "question": "What does it cost to share keys?",
        "seeds": [1],
        "tasks": {"text": {"metrics": ["loss"]}},
        "overrides": {"model": "hub", "model.path": str(llama), **chosen},
        "arms": {"every head": {}, "shared": {"model/attention": "grouped_query", "model.attention.kv_heads": 1}},
        "baseline": "every head",
    }
    place = tmp_path / "study"
    place.mkdir()
    (place / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    done = zoo("study", str(place), "hydra.launcher.n_jobs=1")
    assert done.code == 0, done.err
    results = [json.loads(file.read_text()) for file in tmp_path.rglob("result.json")]
    assert sorted(len(each["checkpoint"]["converted"]) for each in results) == [0, 2]
    (written,) = tmp_path.rglob("report.md")
    report = written.read_text()
    assert "| weights of shared | `all others kept; converted: " in report
    assert "stack.layers.0-1.attention.key.weight (4 heads pooled to 1)" in report


def folder_of_a_sentence_encoder(folder: Path) -> Path:
    """A tiny Llama with what lies beside published ones: an ordinary token ``<s>``, several ends, a pooling module."""
    tiny(folder)
    names = ["<s>", "</s>", *LETTERS]
    built = Tokenizer(models.BPE({name: number for number, name in enumerate(names)}, []))
    built.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    built.add_special_tokens(["<|im_end|>", "<|endoftext|>"])
    built.save(str(folder / "tokenizer.json"))
    ids = {"bos_token_id": 40, "eos_token_id": [39, 40], "pad_token_id": 40}
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "bos_token_id": 1, "eos_token_id": 2}))
    (folder / "generation_config.json").write_text(json.dumps({**ids, "temperature": 0.6}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|im_end|>", "model_max_length": 64}))
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    (folder / "modules.json").write_text(json.dumps([{"path": ""}, {"path": "1_Pooling"}, {"path": "2_Normalize"}]))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    return folder


BESIDE = (
    "generation_config.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "modules.json",
    "1_Pooling/config.json",
)


def test_fine_tuning_keeps_special_tokens_context_length_and_the_files_beside(tmp_path: Path, rest: list[str]) -> None:
    folder = folder_of_a_sentence_encoder(tmp_path / "checkpoint")
    before = {name: (folder / name).read_bytes() for name in BESIDE}
    tokenizer = json.loads((folder / "tokenizer.json").read_text())["added_tokens"]
    config = json.loads((folder / "config.json").read_text())
    run = checked("model=hub", f"model.path={folder}", *rest, "steps=1", "evaluate=1")
    spelled = {role: run.config.data.tokenizer.options[role] for role in ("bos", "eos", "pad")}
    assert spelled == {"bos": "<|endoftext|>", "eos": "<|im_end|>", "pad": "<|endoftext|>"}
    train(run)
    shutil.rmtree(folder)  # the run has all that it needs
    assert zoo("export", str(run_folder(run).path), str(tmp_path / "out")).code == 0
    out = tmp_path / "out"
    assert {name: (out / name).read_bytes() for name in BESIDE} == before
    written = json.loads((out / "config.json").read_text())
    same = ("bos_token_id", "eos_token_id", "max_position_embeddings")
    assert {key: written[key] for key in same} == {key: config[key] for key in same}
    added = json.loads((out / "tokenizer.json").read_text())["added_tokens"]
    assert added[: len(tokenizer)] == tokenizer


def test_another_tokenizer_brings_its_own_special_tokens(tmp_path: Path, rest: list[str]) -> None:
    folder = folder_of_a_sentence_encoder(tmp_path / "checkpoint")
    run = checked("model=hub", f"model.path={folder}", "data/tokenizer=characters", *rest, "steps=1", "evaluate=1")
    train(run)
    assert zoo("export", str(run_folder(run).path), str(tmp_path / "out")).code == 0
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    found = load_saved_model(run_folder(run).path).vocabulary
    assert (written["bos_token_id"], written["eos_token_id"]) == (found.bos, found.eos)
    assert written["max_position_embeddings"] == SIZES["max_position_embeddings"]
    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*")}
    assert names >= {"modules.json", "1_Pooling/config.json", "tokenizer.json"}
    assert "chat_template.jinja" not in names


def test_files_beside_a_run_never_lead_out_of_its_folder(tmp_path: Path) -> None:
    """A run folder may come from a stranger: what origin.json names is not read, and links are refused."""
    write_origin(Origin("llama", {"bos_token_id": 1}, {"1_Pooling/config.json": b"{}"}), tmp_path)
    (tmp_path.parent / "secret").write_text("secret")
    said = {"family": "llama", "kept": {"bos_token_id": 1}, "files": ["../../secret", "/etc/hostname"]}
    (tmp_path / "origin.json").write_text(json.dumps(said))
    assert read_origin(tmp_path) == Origin("llama", {"bos_token_id": 1}, {"1_Pooling/config.json": b"{}"})
    (tmp_path / "files" / "vocab.txt").symlink_to(tmp_path.parent / "secret")
    with pytest.raises(Refused, match=r"vocab\.txt must be a regular file: got a link"):
        read_origin(tmp_path)
    (tmp_path / "origin.json").write_text('{"family": null}')
    with pytest.raises(Refused, match="must contain family and kept options"):
        read_origin(tmp_path)

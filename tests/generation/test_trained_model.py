"""Folders of runs and checkpoints, prompted as the model was trained: against what training wrote, and transformers."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import yaml
from tokenizers.processors import TemplateProcessing
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.command import NUMBERS, ON_CPU, SMALL, checked, zoo
from tests.hub.oracle import Case, made
from zoo.checks import Refused
from zoo.components.tokenizer.bytes import Bytes
from zoo.generation import fill, generate, search_texts
from zoo.generation.trained_model import TrainedModel, open_model
from zoo.runs.run_result import RunResult
from zoo.training.run import prepare_data, run_folder, train

RUNS: dict[str, list[str]] = {
    "decoder": ["model=gpt/tiny", "model.position.length=128", *NUMBERS],
    "causal": ["model=llama/tiny", "objective=causal_lm", *NUMBERS],
    "encoder_decoder": ["model=transformer/tiny", *NUMBERS],
    "encoder": ["model=bert/tiny", "model.position.length=64", *NUMBERS],
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def trained(runs: Path, *lines: str) -> tuple[Path, RunResult]:
    small = [*SMALL, *ON_CPU, "steps=40", "evaluate=40", "optimizer.lr=0.01", "examples=5", f"runs={runs}"]
    config = checked(*lines, *small)
    return run_folder(config).path, train(config)


@pytest.mark.parametrize("name", [name for name in RUNS if name != "encoder"])
def test_a_run_answers_what_it_answered_in_training(name: str, runs: Path) -> None:
    """Sources of the validation split, greedily; special tokens are put around them as in training."""
    folder, result = trained(runs, *RUNS[name])
    source = open_model(folder)
    rows = prepare_data(checked(*RUNS[name]).config).validation
    limit = 2 * int(rows.get_batch(range(len(rows))).target_length.max())  # type: ignore[union-attr]
    texts = generate(source.model, source.prompting, [each.source for each in result.samples], tokens=limit)
    assert texts == [each.prediction for each in result.samples]
    assert len(set(texts)) > 1
    assert search_texts(source.model, source.prompting, [result.samples[0].source], beams=1, tokens=limit) == texts[:1]


def test_a_run_of_an_encoder_fills_what_it_filled_in_training(runs: Path) -> None:
    folder, result = trained(runs, *RUNS["encoder"])
    source = open_model(folder)
    for each in result.samples:
        masks = "<mask>" * (len(each.target) + 1)  # the last is for eos
        (filled,) = fill(source.model, source.prompting, [f"{each.source}<sep>{masks}"])
        tokens = [mask[0].token for mask in filled.masks]
        tokens = tokens[: tokens.index("<eos>")] if "<eos>" in tokens else tokens
        assert "".join(tokens) == each.prediction


def test_documents_go_on_from_the_prompt(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("\n".join("abcdefghijklmnopqrstuvwxyz"[i % 9 :] * 3 for i in range(300)))
    data = ["data=text", f"data.path={tmp_path / 'text.txt'}", "data.unit=line", "data.length=32"]
    folder, _ = trained(runs, "model=llama/tiny", *data)
    source = open_model(folder)
    ids = source.prompting.encode("cde", source.model.vocabulary)
    written: list[int] = []
    while len(written) < 10:
        with torch.no_grad():
            written.append(int(source.model(torch.tensor([[*ids, *written]]))[0, -1].argmax()))
    assert ids[0] == source.prompting.tokenizer.token_to_id("<bos>")
    assert generate(source.model, source.prompting, ["cde"], tokens=10) == [source.prompting.decode(written)]
    spans = open_model(trained(runs, "model=llama/tiny", "objective=span_corruption", *data)[0]).prompting
    ends = [spans.tokenizer.token_to_id(name) for name in ("<bos>", "<extra_0>", "<eos>", "<sep>")]
    ids = spans.encode("ab<extra_0>c", 999)
    assert [ids[0], ids[3], *ids[-2:]] == ends
    assert spans.decode(ids) == "ab<extra_0>c"
    assert as_if(folder, tmp_path / "prefix", "prefix_lm").prompting.both_ways
    with pytest.raises(Refused, match="objective=infilling"):
        as_if(folder, tmp_path / "infilling", "infilling")
    with pytest.raises(Refused, match="replaced_token, which trains no head"):
        as_if(folder, tmp_path / "found", "replaced_token")


def as_if(folder: Path, copy: Path, objective: str) -> TrainedModel:
    """The same run, had its objective been another."""
    shutil.copytree(folder, copy)
    config = yaml.safe_load((copy / "config.yaml").read_text())
    (copy / "config.yaml").write_text(yaml.safe_dump({**config, "objective": {"name": objective}}))
    return open_model(copy)


# ------------------------------------------------------------------------------------------------------ checkpoints

FAMILIES = {
    "gpt2": (GPT2Config, GPT2LMHeadModel, {"n_positions": 64, "n_embd": 32, "n_layer": 2, "n_head": 2}),
    "llama": (
        LlamaConfig,
        LlamaForCausalLM,
        {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4},
    ),
}
PROMPTS = ["a prompt", "another, longer one", "🦓"]


def tokenizer() -> tokenizers.Tokenizer:
    """One whose file says that bos comes before a text, and that texts are cut: which must not happen to a prompt."""
    made = Bytes().build([])
    made.post_processor = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    return made


@pytest.mark.parametrize("family", FAMILIES)
def test_a_checkpoint_writes_what_transformers_writes_of_it(family: str, tmp_path: Path) -> None:
    config, model, sizes = FAMILIES[family]
    size = tokenizer().get_vocab_size()
    theirs: Any = made(Case(family, lambda: config(vocab_size=size, bos_token_id=1, eos_token_id=2, **sizes), model))
    ends = [2, 120, 150, 200]
    theirs.generation_config.eos_token_id, theirs.generation_config.bos_token_id = ends, 1
    theirs.save_pretrained(tmp_path)
    cutting = tokenizer()
    cutting.enable_truncation(4)
    cutting.save(str(tmp_path / "tokenizer.json"))
    source = open_model(tmp_path)
    assert source.prompting.ends == set(ends)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer(), pad_token="<pad>", padding_side="left", bos_token="<bos>"
    )
    asked = fast(PROMPTS, return_tensors="pt", padding=True)
    length = asked["input_ids"].shape[1]
    plain = {"do_sample": False, "max_new_tokens": 20, "pad_token_id": 0}
    for beams in (1, 3):
        expected = theirs.generate(
            asked["input_ids"], attention_mask=asked["attention_mask"], num_beams=beams, **plain
        )[:, length:]
        kept = [[token for token in row if token not in ends] for row in expected.tolist()]
        found = generate(source.model, source.prompting, PROMPTS, tokens=20)
        if beams > 1:
            found = search_texts(source.model, source.prompting, PROMPTS, tokens=20, beams=beams)
        shown = [re.sub("<extra_[0-9]+>", "", text) for text in found]  # sentinels are part of what is written
        assert shown == [fast.decode(row, skip_special_tokens=True) for row in kept]


def test_what_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="neither a run nor a checkpoint"):
        open_model(tmp_path)
    config, model, sizes = FAMILIES["gpt2"]
    made(Case("gpt2", lambda: config(vocab_size=40, **sizes), model)).save_pretrained(tmp_path)  # type: ignore[operator]
    with pytest.raises(Refused, match=r"no tokenizer\.json"):
        open_model(tmp_path)


# ---------------------------------------------------------------------------------------------------------- command


def test_the_command_writes_and_draws_and_searches(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, result = trained(runs, *RUNS["encoder_decoder"])
    prompts = [each.source for each in result.samples]
    answers = [each.prediction for each in result.samples]
    run = str(folder)
    one = zoo("generate", run, prompts[0], "--greedy")
    assert (one.code, one.out, one.err) == (0, answers[0] + "\n", "")
    assert zoo("generate", run, prompts[0], "--greedy", "--uncached").out == one.out
    monkeypatch.setattr("sys.stdin", io.StringIO(prompts[0] + "\n"))
    assert zoo("generate", run, "-", "--greedy").out == one.out
    several = zoo("generate", run, *prompts[:2], "--greedy", "--tokens", "8").out
    texts = [zoo("generate", run, prompt, "--greedy", "--tokens", "8").out for prompt in prompts[:2]]
    assert several == f"> {prompts[0]}\n{texts[0]}\n> {prompts[1]}\n{texts[1]}"
    drawn = zoo("generate", run, prompts[0], "--samples=3", "--seed", "4", "--temperature", "1.5", "--json")
    texts = [each["text"] for each in json.loads(drawn.out)]
    assert len(set(texts)) > 1
    assert zoo("generate", run, prompts[0], "--seed=5", "--temperature=1.5").out == texts[1] + "\n"
    stop = answers[0][-2:]
    cut = zoo("generate", run, prompts[0], "--greedy", "--stop", stop).out
    assert cut == answers[0][: answers[0].index(stop)] + "\n"
    assert zoo("generate", run, prompts[0], "--beams", "1").out == one.out
    assert zoo("generate", run, prompts[0], "--beams", "3", "--length-penalty", "-1", "--tokens", "30").code == 0
    assert zoo("generate", run, prompts[0], "--fill").err == (
        "zoo: only an encoder can fill masks: the model is of variant encoder_decoder\n"
    )


def test_the_command_fills(runs: Path) -> None:
    folder, _ = trained(runs, *RUNS["encoder"])
    shown = zoo("generate", str(folder), "1<sep><mask><mask>", "--fill").out.splitlines()
    told = json.loads(zoo("generate", str(folder), "1<sep><mask><mask>", "--fill", "--json").out)
    assert shown[0] == told[0]["text"]
    assert [len(mask) for mask in told[0]["masks"]] == [5, 5]
    best = told[0]["masks"][0][0]
    assert shown[1].startswith(f"  mask 1: {best['token']} {best['probability']:.3f}  ")
    assert zoo("generate", str(folder), "1").err.startswith("zoo: an encoder cannot generate text")
    assert "must have a mask" in zoo("generate", str(folder), "1", "--fill").err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["folder"], ["zoo generate needs a prompt"]),
        (["--greedy"], ["zoo generate needs the folder of a run or checkpoint, and a prompt"]),
        (["f", "p", "--gredy"], ["unknown flag '--gredy': did you mean --greedy?"]),
        (
            ["f", "p", "--tokens", "many", "--top-p=2"],
            ["--tokens: must be a whole number: got many", "--top-p: must be"],
        ),
        (
            ["f", "p", "--tokens=0", "--beams=-1", "--greedy"],
            ["--beams: makes no", "--tokens: must be pos", "--beams: must"],
        ),
        (["f", "p", "--greedy", "--seed=1", "--top-k=3"], ["--greedy: makes no sense together with --top-k, --seed"]),
        (["f", "p", "--beams=2", "--temperature=2", "--stop=x"], ["--beams: makes no sense together with --temp"]),
        (["f", "p", "--fill", "--tokens=3"], ["--fill: makes no sense together with --tokens"]),
        (["f", "p", "--length-penalty=2"], ["--length-penalty: goes with --beams"]),
        (["f", "p", "--stop"], ["--stop: must be given a value"]),
        (["f", "p", "--stop="], ["--stop: must not be empty"]),
        (["f", "-", "-"], ["only one prompt can be read from the standard input"]),
        (["no/such/folder", "p"], ["no/such/folder is neither a run nor a checkpoint"]),
    ],
)
def test_all_that_is_wrong_with_the_words_is_told_at_once(words: list[str], told: list[str]) -> None:
    done = zoo("generate", *words)
    assert done.code == 2
    lines = done.err.splitlines()
    assert len(lines) == len(told)
    assert all(text in line for text, line in zip(told, lines, strict=True)), done.err


def test_the_command_tells_what_it_takes() -> None:
    assert zoo("generate", "--help").out.startswith("usage: zoo generate FOLDER")
    assert zoo("generate").code == 2
    assert "zoo generate FOLDER PROMPT" in zoo("--help").out


@pytest.mark.parametrize(
    ("device", "told"),
    [
        ("gpu", "--device: must be cpu, cuda or cuda:N: got gpu"),
        ("cpu:1", "--device: must be cpu, cuda or cuda:N: got cpu:1"),
        ("cuda:one", "--device: must be cpu, cuda or cuda:N: got cuda:one"),
        ("cuda:99", r"--device: cuda:99 is not there: this machine has \d+ GPUs that torch can use"),
    ],
)
def test_a_device_must_be_there(device: str, told: str) -> None:
    done = zoo("generate", "no/such/folder", "p", "--device", device)
    assert done.code == 2
    assert re.fullmatch(f"zoo: {told}\n", done.err)

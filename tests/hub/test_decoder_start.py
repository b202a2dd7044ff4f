"""The decoder of a published encoder-decoder begins with a token of its own, which is not that of a document."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BartConfig, BartForConditionalGeneration

from tests.command import ON_CPU, checked, zoo
from tests.hub.oracle import Case, made
from zoo.config.data_and_objective import make_objective
from zoo.data.interfaces import Vocabulary
from zoo.hub.saved_model import load_saved_model
from zoo.training.run import prepare_data, run_folder, train

LETTERS = "abcdefghijklmnopqrstuvwxyz 0123456789-"
SIZES = {
    "vocab_size": 5 + len(LETTERS),
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 64,
}


def tiny_bart(folder: Path) -> Path:
    """A BART of transformers, whose ids are <s> 0, <pad> 1, </s> 2, <unk> 3, <mask> 4, and decoder start 2."""
    made(Case("tiny", partial(BartConfig, **SIZES), BartForConditionalGeneration), 0).save_pretrained(folder)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    built = Tokenizer(models.BPE({name: number for number, name in enumerate([*special, *LETTERS])}, []))
    built.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    built.add_special_tokens(special)
    built.save(str(folder / "tokenizer.json"))
    return folder


def test_a_vocabulary_without_one_begins_as_a_document_does() -> None:
    assert Vocabulary(10, pad=0, bos=1, eos=2).decoder_start == 1
    assert Vocabulary(10, pad=0, bos=1, eos=2, decoder_start=0).decoder_start == 0


def test_fine_tuning_and_export_keep_both(tmp_path: Path) -> None:
    folder = tiny_bart(tmp_path / "bart")
    published = load_saved_model(folder).vocabulary
    assert (published.bos, published.eos, published.decoder_start) == (0, 2, 2)
    more = [*ON_CPU, "batch=4", "steps=1", "evaluate=1", f"runs={tmp_path / 'runs'}"]
    run = checked("model=hub", f"model.path={folder}", "data=numbers", "data.limit=80", "data.length=64", *more)
    prepared = prepare_data(run.config)
    assert (prepared.vocabulary.bos, prepared.vocabulary.decoder_start) == (0, 2)
    batch = prepared.train.get_batch(range(3))
    view = make_objective(run.config, prepared.vocabulary).prepare(batch, [torch.Generator()] * 3)
    assert view.inputs.tokens[:, 0].tolist() == [2, 2, 2]
    train(run)
    again = load_saved_model(run_folder(run).path).vocabulary
    assert (again.bos, again.decoder_start) == (0, 2)
    assert zoo("export", str(run_folder(run).path), str(tmp_path / "out")).code == 0
    written = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (written["bos_token_id"], written["decoder_start_token_id"]) == (0, 2)


def test_documents_are_read_from_bos_and_written_from_the_start_of_the_decoder(tmp_path: Path) -> None:
    folder = tiny_bart(tmp_path / "bart")
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(f"{i} bottles of beer on the wall take {i % 7} down" for i in range(60)))
    data = ["data=text", f"data.path={text}", "data.unit=paragraph", "data.length=32"]
    run = checked("model=hub", f"model.path={folder}", *data, *ON_CPU, "objective=span_corruption")
    prepared = prepare_data(run.config)
    batch = prepared.train.get_batch([0])
    view = make_objective(run.config, prepared.vocabulary).prepare(batch, [torch.Generator()])
    assert view.inputs.source is not None
    assert view.inputs.source[0, 0] == prepared.vocabulary.bos == 0
    assert view.inputs.tokens[0, 0] == prepared.vocabulary.decoder_start == 2

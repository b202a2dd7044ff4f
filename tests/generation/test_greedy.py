"""What is written with caches is what a model says without them, row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.command import ON_CPU, SMALL, checked
from zoo.config.data_and_objective import make_objective
from zoo.data.interfaces import Vocabulary
from zoo.generation.greedy import answer_sources, write
from zoo.model.build import assemble
from zoo.model.inputs import Inputs
from zoo.testing.objective_checks import prepare
from zoo.training.run import prepare_data

POSITIONS = ["learned", "sinusoidal", "rotary", "alibi", "none"]


def last_logits(model: Any, inputs: Inputs, written: list[int]) -> torch.Tensor:
    """Of the whole row again, without a cache."""
    more = torch.tensor([written], dtype=torch.long)
    return model.logits(
        model.compute_hidden(Inputs(torch.cat([inputs.tokens, more], 1), prefix=inputs.prefix, source=inputs.source))
    )[0, -1]


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize(("variant", "prefix"), [("decoder", False), ("decoder", True), ("encoder_decoder", False)])
def test_write_equals_recomputation_and_rows_do_not_matter_to_each_other(
    variant: str, position: str, prefix: bool, built: Callable[..., Any], vocabulary: Vocabulary
) -> None:
    """Prompts of different lengths, padded on the left, against each prompt alone."""
    where = {"name": position, **({"length": 64} if position == "learned" else {})}
    model = built(variant, position=where, head={"tied": False})
    draw = torch.Generator().manual_seed(1)
    rows = [torch.randint(14, 32, (length,), generator=draw) for length in (3, 7, 1, 5)]
    longest = max(len(row) for row in rows)
    padded = torch.stack([torch.nn.functional.pad(row, (longest - len(row), 0)) for row in rows])
    segment = torch.stack([torch.arange(longest) >= longest - len(row) for row in rows]).long() - 1
    seen = torch.full((4,), longest) if prefix else None
    bos = torch.full((4, 1), vocabulary.bos)
    if variant == "decoder":
        together = write(model, Inputs(padded, segment, prefix=seen), vocabulary, 9)
    else:
        together = write(model, Inputs(bos, source=padded, source_segment=segment), vocabulary, 9)
    assert len({tuple(row) for row in together}) > 1
    for row, tokens in zip(rows, together, strict=True):
        one = torch.tensor([len(row)]) if prefix else None
        alone = Inputs(row[None], prefix=one) if variant == "decoder" else Inputs(bos[:1], source=row[None])
        written: list[int] = []
        for _ in range(9):
            token = int(last_logits(model, alone, written).argmax())
            if token == vocabulary.eos:
                break
            written.append(token)
        assert tokens == written


@pytest.mark.parametrize(
    ("variant", "objective"),
    [("decoder", "prefix_lm"), ("decoder", "causal_lm"), ("encoder_decoder", "seq2seq"), ("encoder", "masked_lm")],
)
def test_exact_match_by_teacher_forcing_is_that_of_greedy_decoding(variant: str, objective: str) -> None:
    """On a model that is half trained, so that some answers are right and some wrong."""
    sizes = ["data=numbers", "data.limit=60", "data.source=english", "data.target=digits", "data.length=64"]
    config = checked(
        "model=gpt/tiny",
        "model.position.length=64",
        *SMALL,
        *ON_CPU,
        *sizes,
        f"model.variant={variant}",
        f"objective={objective}",
    )
    prepared = prepare_data(config.config)
    torch.manual_seed(0)
    assert config.plan is not None
    model = assemble(config.plan, prepared.vocabulary.size)
    asks = make_objective(config.config, prepared.vocabulary)
    batch = prepared.train.get_batch(range(48))
    view = prepare(asks, batch)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(300):
        model.train()
        asks.loss(model, view)["cross_entropy"].backward()
        optimizer.step()
        optimizer.zero_grad()
        model.eval()
        with torch.no_grad():
            likeliest = model.logits(model.compute_hidden(view.inputs)).argmax(-1)
        forced = ((likeliest == view.targets) | ~view.valid).all(dim=1)
        if 12 <= int(forced.sum()) <= 36:
            break
    assert 0 < int(forced.sum()) < 48
    written = answer_sources(model, batch, prepared.vocabulary, prefix=objective == "prefix_lm")
    targets = [batch.target[row, : batch.target_length[row] - 1].tolist() for row in range(batch.rows)]
    assert [mine == true for mine, true in zip(written, targets, strict=True)] == forced.tolist()


def test_writing_ends_where_positions_do(built: Callable[..., Any], vocabulary: Vocabulary) -> None:
    """The last token that is written needs no position: of 12, 5 are for the prompt and 7 for what is read again."""
    model = built("decoder", position={"name": "learned", "length": 12}, head={"tied": False})
    prompt = Inputs(torch.randint(14, 32, (2, 5), generator=torch.Generator().manual_seed(1)))
    never = Vocabulary(**{**vars(vocabulary), "eos": vocabulary.size + 1})
    assert [len(row) for row in write(model, prompt, never, 30)] == [8, 8]
    assert [len(row) for row in write(model, prompt, never, 6)] == [6, 6]

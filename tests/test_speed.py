"""The program that measures speed: equal work is proven, results are complete, and targets are judged."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from experiments.speed import command
from experiments.speed.clock import Settings, compute_ratios, run_in_turn
from experiments.speed.equal_work import UnequalWork, build_equal_peer, require_equal_work
from experiments.speed.limit import list_products
from experiments.speed.measures import decode, experts, length
from experiments.speed.outcome import Row, read_row
from experiments.speed.peers import PEERS, Peer, list_peers
from experiments.speed.plain_gpt import PlainGpt
from experiments.speed.shapes import TINY, Shape
from experiments.speed.sides import build_peers
from experiments.speed.targets import TARGETS, judge
from experiments.speed.work import build_model, make_batches, perturb

SHAPE = Shape("minute", layers=2, dim=32, heads=4, length=16, batch=2, vocabulary=40)


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: f"{peer.name}-{peer.family}")
def test_peers_do_equal_work(peer: Peer) -> None:
    if reason := peer.find_reason_missing():
        pytest.skip(reason)
    shape = TINY if peer.differences else SHAPE  # a stated difference weighs more in a smaller model
    model = build_model(peer.family, shape)
    perturb(model)
    build_equal_peer(peer, shape, model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: PlainGpt(replace(SHAPE, layers=1)), "parameters must be equal"),
        (lambda: _Wider(SHAPE), "equal shapes"),
        (lambda: _Twice(SHAPE), "matrix products must be equal"),
        (lambda: PlainGpt(SHAPE), "logits of equal weights must be equal"),
    ],
)
def test_unequal_work_is_refused(change: Any, message: str) -> None:
    model = build_model("gpt", SHAPE)
    perturb(model)
    with pytest.raises(UnequalWork, match=message):
        require_equal_work(model, change(), SHAPE, "plain loop")


class _Wider(PlainGpt):
    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens)[:, 1:]


class _Twice(PlainGpt):
    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens) + super().forward(tokens)


def test_missing_peers_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = [replace(peer, package="no-such-package") for peer in list_peers("gpt")[:1]]
    monkeypatch.setattr("experiments.speed.sides.list_peers", lambda family: missing)
    models, notes = build_peers("gpt", SHAPE)
    assert not models
    assert notes == {"plain loop": "no-such-package is not installed"}


def test_batches_are_packed_documents_of_the_same_tokens() -> None:
    batches = make_batches(SHAPE)
    for packed, plain in zip(batches.packed, batches.plain, strict=True):
        assert packed.inputs.segment is not None
        assert packed.inputs.segment.max() > 0
        assert not packed.valid.all()
        assert plain.valid.all()
        assert torch.equal(packed.inputs.tokens, plain.inputs.tokens)
        assert torch.equal(packed.inputs.tokens[:, 1:], packed.targets[:, :-1])


def test_sides_run_in_turn() -> None:
    calls: list[str] = []
    sides = {name: lambda name=name: calls.append(name) or _spend() for name in "ab"}
    seconds = run_in_turn(sides, Settings(rounds=3))
    assert "".join(calls).endswith("ab" * 3)
    assert [len(each) for each in seconds.values()] == [3, 3]
    assert compute_ratios([2.0, 4.0, 6.0], [1.0, 1.0, 1.0]) == [3.0, 4.0, 5.0]


def _spend() -> None:
    torch.randn(300, 300).matmul(torch.randn(300, 300))
    end = Settings().read_clock() + 0.11
    while Settings().read_clock() < end:
        pass


@pytest.mark.parametrize("family", ["gpt", "llama"])
def test_limit_has_the_products_of_the_model(family: str) -> None:
    found = [module for module in build_model(family, SHAPE).modules() if isinstance(module, nn.Linear)]
    weights = sum(module.weight.numel() for module in found)
    head = SHAPE.dim * SHAPE.vocabulary
    products = sum(inputs * outputs for inputs, outputs in list_products(family, SHAPE))
    assert products in (weights, weights + head)


def test_decoded_tokens_must_be_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "NEW", 4)
    prompt = torch.ones(1, decode.PROMPT, dtype=torch.long)
    makers = {
        "zoo": lambda prompt: prompt[:, :4],
        "same": lambda prompt: prompt[:, :4],
        "other": lambda prompt: prompt[:, :4] + 1,
    }
    sides = decode._check(makers, prompt, {})
    assert list(sides.steps) == ["zoo", "same"]
    assert sides.notes == {"other": "generates other tokens than zoo: 4 of 4"}


def test_results_and_report_are_complete(tmp_path: Path) -> None:
    command.main(["documents", "--quick", "--rounds", "1", "--out", str(tmp_path)])
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf8"))
    assert {"machine", "versions", "date", "measures", "targets"} <= set(results)
    taken = results["measures"]["documents"]
    assert {"about", "date", "load", "took", "settings", "rows"} <= set(taken)
    for row in taken["rows"]:
        assert {"case", "side", "status", "seconds", "median", "quartiles"} <= set(row)
        assert read_row(row).seconds == row["seconds"]
    page = (tmp_path / "README.md").read_text(encoding="utf8")
    assert "| documents | tiny gpt | packed documents: of plain causal | ≤ 1.03 |" in page
    assert "](pictures/documents.svg)" in page
    assert (tmp_path / "pictures" / "documents.svg").read_text(encoding="utf8").startswith("<svg")


def test_targets_are_judged() -> None:
    def judge_documents(ratio: float) -> list[bool | None]:
        row = Row("tiny gpt", "packed documents", [1.0], {"of plain causal": [ratio] * 3})
        return [one.met for one in judge({"documents": [row]}, []) if one.measured is not None]

    assert judge_documents(1.02) == [True]
    assert judge_documents(1.04) == [False]
    assert all(one.met is None for one in judge({"documents": []}, []))
    assert all(target.measure in command.MEASURES for target in TARGETS)


@pytest.mark.parametrize(("ratio", "status"), [(1.0, None), (2.0, 1)])
def test_check_ends_with_one_if_a_target_is_missed(
    ratio: float, status: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Row("tiny gpt", "packed documents", [1.0], {"of plain causal": [ratio] * 3}).as_json()
    settings = {"rounds": 1, "threads": 1, "is_quick": True}
    taken = {"about": "", "date": "", "load": [0, 0], "took": 0, "settings": settings, "rows": [row]}
    monkeypatch.setattr(command, "take_measure", lambda name, settings: taken)
    arguments = ["documents", "--out", str(tmp_path)]
    command.main(arguments)
    if status is None:
        command.main([*arguments, "--check"])
    else:
        with pytest.raises(SystemExit, match=str(status)):
            command.main([*arguments, "--check"])


@pytest.mark.parametrize("name", command.MEASURES)
def test_every_measure_says_what_it_measures(name: str) -> None:
    module = importlib.import_module(f"experiments.speed.measures.{name}")
    assert module.__doc__
    assert callable(module.measure)


def test_a_window_is_timed_against_its_own_row_of_1024_tokens() -> None:
    first = Row("1,024 tokens", "window 512", [1.0], values={"bytes a token": 10.0})
    row = length._compare(Row("8,192 tokens", "window 512", [3.0], values={"bytes a token": 20.0}), first)
    assert (row.get_number("time of 1,024"), row.get_number("memory of 1,024")) == (3.0, 2.0)


def test_mixtures_do_equal_work() -> None:
    pytest.importorskip("transformers")
    experts.build_equal_mixtral(SHAPE, 4)


def test_unknown_measure_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["stepp"])
    assert "unknown measure 'stepp': choose from step, " in capsys.readouterr().err

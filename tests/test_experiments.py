"""The studies in ``experiments``, and the claims of the lecture that some of them test."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.command import zoo
from zoo.cli.lecture_claims import Claim, read_claims
from zoo.study.cells.expand_plan import expand_plan
from zoo.study.cells.load_plan import load_plan
from zoo.study.plan.find_study import list_studies

ROOT = Path(__file__).parents[1]
LECTURE = ROOT / "experiments" / "lecture"
CLAIMS: list[dict[str, Any]] = yaml.safe_load((LECTURE / "claims.yaml").read_text(encoding="utf8"))
TESTED = [claim for claim in CLAIMS if claim["study"]]
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)? ± \d[\d,.]*\d|\d+\.\d+")


def test_studies_in_folders_are_listed() -> None:
    assert {"three_variants", "lecture/residual_connections"} <= set(list_studies())


@pytest.mark.parametrize("study", list_studies())
def test_every_study_can_be_read(study: str) -> None:
    assert load_plan(study).question


@pytest.mark.parametrize("study", sorted({claim["study"] for claim in TESTED}))
def test_every_arm_of_the_lecture_can_be_trained(study: str) -> None:
    plan = load_plan(f"lecture/{study}")
    expansion = expand_plan(plan)
    assert len(expansion.settings) + len(expansion.left_out) == len(plan.arms) * len(plan.tasks)
    assert len(plan.seeds) >= 8


@pytest.mark.parametrize("claim", [claim for claim in read_claims() if claim.study], ids=lambda claim: claim.number)
def test_studies_of_the_lecture_have_a_reduced_size(
    claim: Claim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    counts = []
    for words in ((), claim.reduced):
        code, out, err = zoo("study", claim.study, *words, "--status", "--json")
        assert code == 0, err
        found = json.loads(out)
        counts.append(len(found["cells"]) + found["more"])
    assert counts[1] < counts[0] / 2


def test_there_are_twelve_claims_in_order() -> None:
    assert [claim["number"] for claim in CLAIMS] == list(range(1, 13))
    keys = {"number", "title", "says", "study", "command", "inspect", "verdict"}
    assert all(set(claim) == keys for claim in CLAIMS)
    assert all(set(claim[key]) == {"en", "zh"} for claim in CLAIMS for key in ("title", "says"))


@pytest.mark.parametrize("claim", TESTED, ids=lambda claim: claim["study"])
def test_verdicts_state_what_the_report_says(claim: dict[str, Any]) -> None:
    """Every number of a verdict is in the committed report or the README of the study, the same in both languages."""
    folder, verdict = LECTURE / claim["study"], claim["verdict"]
    assert verdict["value"] in ("holds", "does_not_hold", "undecided")
    numbers = set(NUMBER.findall(verdict["en"]))
    assert numbers == set(NUMBER.findall(verdict["zh"]))
    report = (folder / "report.md").read_text(encoding="utf8")
    assert numbers
    assert numbers <= set(NUMBER.findall(report)), numbers - set(NUMBER.findall(report))
    readme = (folder / "README.md").read_text(encoding="utf8")
    assert numbers <= set(NUMBER.findall(readme))
    assert claim["command"] == f"zoo study lecture/{claim['study']}"
    assert claim["command"] in readme


def test_only_studies_have_verdicts() -> None:
    assert all((claim["study"] is None) == (claim["verdict"] is None) for claim in CLAIMS)


# ------------------------------------------------------------------------------------------- shares of parameters


@pytest.fixture(scope="module")
def shares() -> Any:
    path = LECTURE / "modules" / "list_shares.py"
    spec = importlib.util.spec_from_file_location("list_shares", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_committed_shares_are_those_of_the_presets(shares: Any) -> None:
    committed = (LECTURE / "modules" / "shares.md").read_text(encoding="utf8")
    assert committed == shares.build_page(), "run python experiments/lecture/modules/list_shares.py"


def test_shares_of_gpt2_follow_from_its_sizes(shares: Any) -> None:
    """Twelve layers of four matrices and two, with biases; a tied table of 50257 tokens, 1024 positions, 25 norms."""
    dim, layers = 768, 12
    attention, ffn = layers * 4 * dim * (dim + 1), layers * (8 * dim * dim + 5 * dim)
    embedding, other = 50257 * dim, 1024 * dim + (2 * layers + 1) * 2 * dim
    total = attention + ffn + embedding + other
    view = shares.measure_preset("gpt2/small")
    assert view.parameters == total
    expected = {"attention": attention, "ffn": ffn, "embedding": embedding, "head": 0, "other": other}
    assert view.shares == pytest.approx({name: amount / total for name, amount in expected.items()})

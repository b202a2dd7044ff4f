from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command import zoo


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def shown(*overrides: str) -> dict[str, Any]:
    code, out, err = zoo("show", *overrides, "data/tokenizer=bytes", "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def leaves(modules: dict[str, Any]) -> int:
    """Parameters of all modules, from the bottom: what a module holds itself is what its parts do not."""
    return sum(
        module["parameters"]
        - sum(part["parameters"] for part in module["modules"].values())
        + leaves(module["modules"])
        for module in modules.values()
    )


def test_json_has_parameters_operations_and_modules(tmp_path: Path) -> None:
    found = shown("model=transformer")
    assert found["vocabulary"] == 38 + 256
    assert leaves(found["modules"]) == found["parameters"]
    assert found["flops_per_token"] > 6 * 0.5 * found["parameters"]
    assert set(found["modules"]) == {"embedding", "encoder", "decoder"}
    assert len(found["modules"]["decoder"]["modules"]["layers"]["modules"]) == 3
    assert sum(found["shares"].values()) == pytest.approx(1)
    assert found["source"] == found["length"] == 128
    assert list(tmp_path.iterdir()) == []


def test_an_option_changes_what_is_shown() -> None:
    """Half as many key and value heads: half the key and value matrices, in each of four layers."""
    many, few = (shown("model=llama", f"model.attention.kv_heads={n}")["parameters"] for n in (4, 2))
    assert many - few == 4 * 2 * 256 * 128


def test_the_text_shows_the_tree() -> None:
    code, out, _ = zoo("show", "model=gpt/tiny", "data/tokenizer=bytes")
    assert code == 0
    assert "0 to 1" in out
    assert "MultiHeadAttention" in out
    assert f"{shown('model=gpt/tiny')['parameters']:,} parameters" in out


def test_all_problems_of_model_and_data_are_told() -> None:
    code, _, err = zoo("show", "model.dim=x", "data=numbers", "data.limit=3")
    assert code == 2
    assert "model.dim: must be an int" in err
    assert "data.limit: limit of digits must be between 10" in err

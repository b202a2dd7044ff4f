from __future__ import annotations

import json
import subprocess
import sys
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
    assert found["vocabulary"] == 3 + 6 + 256, "six sentinels for the spans of 128 tokens"
    assert leaves(found["modules"]) == found["parameters"]
    assert found["flops_per_token"] > 6 * 0.5 * found["parameters"]
    assert set(found["modules"]) == {"embedding", "encoder", "decoder", "head"}
    assert len(found["modules"]["decoder"]["modules"]["layers"]["modules"]) == 3
    assert sum(found["shares"].values()) == pytest.approx(1)
    assert sum(found["flops_shares"].values()) == pytest.approx(1)
    assert found["shares"]["head"] == 0 < found["flops_shares"]["head"]
    assert found["source"] == found["length"] == 128
    assert list(tmp_path.iterdir()) == []


def test_json_has_memory_and_operations_by_module() -> None:
    """Two layers of grouped queries: keys and values of two heads of 32 float32 features, for each of 128 tokens."""
    found = shown("model=llama/tiny")
    layers = found["modules"]["stack"]["modules"]["layers"]["modules"]
    attention = layers["0"]["modules"]["attention"]
    assert found["cache_bytes_per_token"] == 2 * attention["cache_bytes_per_token"] == 2 * (2 * 2 * 32 * 4)
    assert found["cache_bytes"] == 2 * attention["cache_bytes"] == 128 * found["cache_bytes_per_token"]
    assert found["flops"]["backward"] == 2 * found["flops"]["forward"]
    assert found["flops_per_token"] == round(3 * found["flops"]["forward"] / 128)
    hidden = 2 * 4 * 128 * (128 * 127 // 2)  # of two layers, pairs that are executed and not needed: scores, averages
    assert found["executed_flops_per_token"] == round(3 * (found["flops"]["forward"] + hidden) / 128)
    assert found["flops"]["forward"] == sum(part["flops"]["forward"] for part in found["modules"].values())
    assert found["activation_bytes"] == sum(part["activation_bytes"] for part in found["modules"].values())
    assert attention["active_parameters"] == attention["parameters"]


def test_an_option_changes_what_is_shown() -> None:
    """Half as many key and value heads: half the key and value matrices, in each of four layers."""
    many, few = (shown("model=llama", f"model.attention.kv_heads={n}")["parameters"] for n in (4, 2))
    assert many - few == 4 * 2 * 256 * 128


@pytest.mark.parametrize("columns", [80, 120])
def test_the_text_shows_the_tree(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In aligned columns that fit the terminal; what has no room is left out, and no name is cut."""
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, _ = zoo("show", "model=gpt/tiny", "data/tokenizer=bytes")
    assert code == 0
    lines = out.splitlines()
    assert max(map(len, lines)) <= columns
    assert f"{shown('model=gpt/tiny')['parameters']:,} parameters" in lines[0]
    (head,) = (line for line in lines if "FLOPs" in line)
    (layers,) = (line for line in lines if "layers 0 to 1" in line)
    (attention,) = (line for line in lines if "─ attention" in line)
    assert "MultiHeadAttention" in attention
    last = head.split()[-1]
    assert last == ("activations" if columns == 120 else "cache")
    assert head.index(last) + len(last) == len(layers[: layers.index("Layer")].rstrip())
    assert [line.split()[0] for line in lines if line.startswith(("shares", "parameters", "operations"))] == [
        "shares",
        "parameters",
        "operations",
    ]
    assert "active" not in out


def test_idle_parameters_have_a_column() -> None:
    code, out, _ = zoo("show", "model=gpt/tiny", "model/ffn=moe", "data/tokenizer=bytes")
    assert code == 0
    found = shown("model=gpt/tiny", "model/ffn=moe")
    assert found["active_parameters"] < found["parameters"]
    assert f"{found['active_parameters']:,} of them active" in out
    assert "active" in out.splitlines()[1]


def test_rows_longer_than_the_model_can_take_are_refused() -> None:
    code, _, err = zoo("show", "model=gpt/tiny", "model.position.length=64", "data/tokenizer=bytes")
    assert code == 2
    assert "model.position: learned has 64 positions: got data.length=128" in err


def test_all_problems_of_model_and_data_are_told() -> None:
    code, _, err = zoo("show", "model.dim=x", "data=numbers", "data.limit=3")
    assert code == 2
    assert "model.dim: must be an int" in err
    assert "data.limit: limit of digits must be between 10" in err


def test_showing_a_model_loads_nothing_of_reports_and_training() -> None:
    heavy = ("scipy", "polars", "altair", "lightning")
    script = f"import sys, zoo.inspect.summary; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

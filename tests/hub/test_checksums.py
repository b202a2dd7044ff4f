"""Weights that were damaged after they were written are noticed when they are read."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import torch

from zoo.checks import Refused
from zoo.hub import load_network, save
from zoo.model.build import build

CONFIG = {
    "variant": "decoder",
    "dim": 16,
    "layers": 2,
    "heads": 2,
    "hidden": 32,
    "attention": {"name": "grouped_query", "kv_heads": 2},
    "ffn": {"name": "gated"},
    "norm": {"name": "rms"},
    "position": {"name": "rotary"},
    "residual": {"name": "pre"},
}


@pytest.fixture(params=["llama", "zoo"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    save(build(CONFIG, 40), tmp_path / "out", family=request.param, shard=4000)
    return tmp_path / "out"


def test_sha256sum_reads_them(folder: Path) -> None:
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    weights = {path.name for path in folder.iterdir()} - {"config.json", "SHA256SUMS"}
    assert {line.split("  ")[1] for line in lines} == weights
    assert len(weights) > 2  # an index and its shards
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)


def test_one_flipped_bit_is_noticed_and_named(folder: Path) -> None:
    shard = sorted(folder.glob("*.safetensors"))[-1]
    content = bytearray(shard.read_bytes())
    content[-3] ^= 1
    shard.write_bytes(content)
    with pytest.raises(Refused, match=rf"{shard.name} is damaged: its sha256 must be"):
        load_network(folder)


def test_a_folder_without_them_is_loaded_and_others_names_are_ignored(folder: Path) -> None:
    tokens = torch.arange(6)[None]
    expected = load_network(folder)(tokens)
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  README.md\nno checksum\n")
    assert torch.equal(load_network(folder)(tokens), expected)
    (folder / "SHA256SUMS").unlink()
    assert torch.equal(load_network(folder)(tokens), expected)

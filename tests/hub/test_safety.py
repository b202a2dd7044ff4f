"""A checkpoint from a stranger: a clear error or a correct model, whatever its bytes are."""

from __future__ import annotations

import json
import os
import pickle
import resource
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zoo.checks import Refused
from zoo.hub import load_network, save
from zoo.model.build import build

MUTATIONS = int(os.environ.get("ZOO_MUTATIONS", "2000"))
SECONDS = 5.0
BYTES = 200 * 2**20
"""What the process may grow by while it reads all of them: files of some 20 kB, and hypothesis itself."""
LLAMA = {
    "variant": "decoder",
    "dim": 16,
    "layers": 2,
    "heads": 2,
    "hidden": 24,
    "attention": {"name": "grouped_query", "kv_heads": 1},
    "ffn": {"name": "gated"},
    "norm": {"name": "rms"},
    "position": {"name": "rotary"},
    "residual": {"name": "pre"},
    "head": {"tied": False},
}
GPT2 = {
    "variant": "decoder",
    "dim": 16,
    "layers": 2,
    "heads": 2,
    "hidden": 24,
    "attention": {"name": "multi_head", "bias": "all"},
    "ffn": {"name": "mlp", "bias": True, "activation": "gelu_tanh"},
    "norm": {"name": "layer"},
    "position": {"name": "learned", "length": 16},
    "residual": {"name": "pre"},
}
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 1, 3, 2**31, 2**40, 2**63, 10**30])
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["silu", "llama", "yarn", "linear", "default", "../x", "LlamaForCausalLM"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("sound")
    for name, config in (("llama", LLAMA), ("gpt2", GPT2), ("zoo", LLAMA)):
        save(build(config, 29, seed=1), root / name, family=name)
    return [root / name for name in ("llama", "gpt2", "zoo")]


def read(folder: Path) -> None:
    """Load it; what comes of it must be a model that works, or lines for a person."""
    size = sum(file.stat().st_size for file in folder.iterdir())
    begun = time.monotonic()
    try:
        model = load_network(folder)
    except Refused as error:
        lines = str(error).splitlines()
        assert lines
        assert all(line.strip() and len(line) < 2000 for line in lines)
    else:
        assert sum(p.numel() * p.element_size() for p in model.parameters()) <= 2 * size
        with torch.no_grad():
            hidden = model.hidden_states(torch.zeros(1, 3, dtype=torch.long))  # type: ignore[operator]
        assert hidden.shape[:2] == (1, 3)
    assert time.monotonic() - begun < SECONDS


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    found = [path] if path else []
    if isinstance(node, dict):
        return found + [place for key, value in node.items() for place in places(value, (*path, key))]
    return found


def put(node: Any, path: tuple[Any, ...], value: Any, remove: bool) -> None:
    for step in path[:-1]:
        node = node[step]
    if remove:
        del node[path[-1]]
    else:
        node[path[-1]] = value


def copied(folder: Path, tmp: Path) -> Path:
    shutil.rmtree(tmp, ignore_errors=True)
    shutil.copytree(folder, tmp)
    return tmp


def bounded(run: Callable[[], None]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run()
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < BYTES


WELL = settings(
    max_examples=MUTATIONS // 2,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def test_no_config_breaks_it(folders: list[Path], tmp_path: Path) -> None:
    @WELL
    @given(st.data())
    def run(data: st.DataObject) -> None:
        folder = copied(data.draw(st.sampled_from(folders)), tmp_path / "it")
        config = json.loads((folder / "config.json").read_text())
        for _ in range(data.draw(st.integers(1, 3))):
            known = places(config)
            path = data.draw(st.sampled_from(known))
            if data.draw(st.booleans()) and data.draw(st.booleans()):
                path = (*path[:-1], data.draw(st.text(max_size=6)))
                put(config, path, data.draw(json_values), False)
            else:
                put(config, path, data.draw(json_values), data.draw(st.booleans()))
        text = json.dumps(config)
        if data.draw(st.integers(0, 9)) == 0:
            text = text[: data.draw(st.integers(0, len(text)))]
        (folder / "config.json").write_text(text)
        read(folder)

    bounded(run)


def test_no_tensor_file_breaks_it(folders: list[Path], tmp_path: Path) -> None:
    @WELL
    @given(st.data())
    def run(data: st.DataObject) -> None:
        folder = copied(data.draw(st.sampled_from(folders)), tmp_path / "it")
        file = folder / "model.safetensors"
        content = bytearray(file.read_bytes())
        length = struct.unpack("<Q", content[:8])[0]
        how = data.draw(st.sampled_from(["header", "bytes", "cut", "length", "more"]))
        if how == "header":
            header = json.loads(content[8 : 8 + length])
            path = data.draw(st.sampled_from(places(header)))
            put(header, path, data.draw(json_values | offsets), data.draw(st.booleans()))
            text = json.dumps(header).encode()
            content = bytearray(struct.pack("<Q", len(text)) + text + content[8 + length :])
        elif how == "bytes":
            for _ in range(data.draw(st.integers(1, 8))):
                content[data.draw(st.integers(0, 8 + length - 1))] = data.draw(st.integers(0, 255))
        elif how == "cut":
            content = content[: data.draw(st.integers(0, len(content) - 1))]
        elif how == "length":
            content[:8] = struct.pack("<Q", data.draw(st.integers(0, 2**64 - 1)))
        else:
            content += data.draw(st.binary(min_size=1, max_size=64))
        file.write_bytes(content)
        read(folder)

    bounded(run)


offsets = st.lists(st.integers(-4, 2**20) | st.sampled_from([2**32, 2**63]), min_size=1, max_size=3)


# ------------------------------------------------------------------------------------------------- by hand


def changed(folders: list[Path], tmp_path: Path, **options: Any) -> Path:
    folder = copied(folders[0], tmp_path / "it")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **options}))
    return folder


def test_what_no_part_computes_is_named(folders: list[Path], tmp_path: Path) -> None:
    folder = changed(folders, tmp_path, is_causal=False, sliding_window=8, is_decoder=True)
    with pytest.raises(Refused) as refused:
        load_network(folder)
    assert str(refused.value).splitlines() == [
        "config.json: is_decoder must be False, since no component supports another value: got True",
        "config.json: is_causal must be True, since no component supports another value: got False",
        "config.json: sliding_window must be None, since no component supports another value: got 8",
    ]


def test_sizes_that_are_not_those_of_the_tensors(folders: list[Path], tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"gate_proj.weight must be \[26, 16\] according to config.json: got \[24, 16\]"):
        load_network(changed(folders, tmp_path, intermediate_size=26))
    with pytest.raises(Refused, match=r"tensors that config.json does not describe: model.layers.1"):
        load_network(changed(folders, tmp_path, num_hidden_layers=1))
    with pytest.raises(Refused, match=r"model.layers.2.self_attn.q_proj.weight is missing"):
        load_network(changed(folders, tmp_path, num_hidden_layers=3))


def test_an_enormous_model_costs_neither_time_nor_memory(folders: list[Path], tmp_path: Path) -> None:
    begun = time.monotonic()
    for options in ({"hidden_size": 2**30}, {"vocab_size": 2**31 - 1}, {"num_hidden_layers": 4000}):
        with pytest.raises(Refused):
            load_network(changed(folders, tmp_path, **options))
    assert time.monotonic() - begun < SECONDS


class Hostile:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_pickle_is_read_only_if_asked_for_and_runs_nothing(folders: list[Path], tmp_path: Path) -> None:
    folder = copied(folders[0], tmp_path / "it")
    weights = {name: tensor.clone() for name, tensor in _tensors(folder).items()}
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(Refused, match="only a pickled checkpoint, which is not read by default"):
        load_network(folder)
    loaded, sound = load_network(folder, pickled=True), load_network(folders[0])
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), sound.parameters(), strict=True))
    mark = tmp_path / "mark"
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Hostile(mark)))
    with pytest.raises(Refused, match="cannot be read with weights_only=True"):
        load_network(folder, pickled=True)
    assert not mark.exists()


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def test_an_index_names_files_beside_it_and_no_others(folders: list[Path], tmp_path: Path) -> None:
    folder = copied(folders[0], tmp_path / "it")
    shutil.rmtree(folder)
    save(load_network(folders[0]), folder, shard=3000)
    assert len(list(folder.glob("model-0*.safetensors"))) > 3
    tokens = torch.arange(6)[None]
    assert torch.equal(load_network(folder)(tokens), load_network(folders[0])(tokens))
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    shards = sorted(set(content["weight_map"].values()))
    for name, message in (
        ("../model.safetensors", "must be in the folder of its index"),
        ("gone.safetensors", "does not exist"),
    ):
        moved = {key: name if shard == shards[0] else shard for key, shard in content["weight_map"].items()}
        index.write_text(json.dumps({"weight_map": moved}))
        with pytest.raises(Refused, match=message):
            load_network(folder)


def test_nothing_is_written_over(folders: list[Path]) -> None:
    with pytest.raises(Refused, match="already exists: choose a folder that is new or empty"):
        save(load_network(folders[0]), folders[0])


MEASURE = """
import resource, sys
from zoo.hub import load_network
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model = load_network(sys.argv[1])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, *[p.numel() * 4 for p in model.parameters()])
"""


@pytest.mark.parametrize("shard", [10**10, 10**7])
def test_memory_is_taken_once(tmp_path: Path, shard: int) -> None:
    save(build({**LLAMA, "dim": 512, "hidden": 2048, "layers": 6}, 16000, seed=1), tmp_path / "large", shard=shard)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "large")], capture_output=True, text=True, check=True
    )
    grown, *sizes = map(int, done.stdout.split())
    assert sum(sizes) > 120 * 2**20
    assert grown * 1024 < 1.2 * sum(sizes)

"""Quantized folders: shown from config.json; fp8 in blocks is read, other methods are refused by name."""

from __future__ import annotations

import itertools
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.command import zoo
from tests.hub.cases.gpt_oss import case as gpt_oss
from tests.hub.cases.llama import case
from tests.hub.oracle import made
from zoo.checks import Refused
from zoo.hub import load_network
from zoo.hub.load_checkpoint import describe
from zoo.inspect.summary import describe as shown

FP8 = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [16, 20]}
TOKENS = torch.arange(6, 17)[None]


def quantize(weight: Tensor, rows: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    """fp8 values, one scale for each block, and the plain weight that they stand for, block by block."""
    shape = [-(-weight.shape[0] // rows), -(-weight.shape[1] // columns)]
    scales, values, plain = torch.empty(shape), torch.empty_like(weight, dtype=torch.float8_e4m3fn), weight.clone()
    for i in range(shape[0]):
        for j in range(shape[1]):
            block = (slice(i * rows, (i + 1) * rows), slice(j * columns, (j + 1) * columns))
            scales[i, j] = weight[block].abs().max() / 448  # the largest number of e4m3
            values[block] = (weight[block] / scales[i, j]).to(torch.float8_e4m3fn)
            plain[block] = values[block].float() * scales[i, j]
    return values, scales, plain


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder, model = tmp_path_factory.mktemp("plain"), made(case("plain", tie_word_embeddings=True))
    model.save_pretrained(folder)
    return folder, model


def written(folder: Path, source: Path, quantization: dict[str, Any], tensors: dict[str, Tensor]) -> Path:
    folder.mkdir()
    config = json.loads((source / "config.json").read_text())
    config |= {"quantization_config": quantization, "dtype": "float32"}
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return folder


@torch.no_grad()
def test_fp8_in_blocks_is_read(plain: tuple[Path, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The last block of a row or a column may be smaller: 48 = 16 + 16 + 16, 32 = 20 + 12."""
    source, theirs = plain
    tensors = {}
    for name, tensor in load_file(source / "model.safetensors").items():
        if "proj" in name:
            tensors[name], tensors[f"{name}_scale_inv"], dequantized = quantize(tensor, 16, 20)
            theirs.get_parameter(name).copy_(dequantized)
        else:
            tensors[name] = tensor
    folder = written(tmp_path / "fp8", source, FP8, tensors)
    with caplog.at_level(logging.WARNING, "zoo"):
        model: Any = load_network(folder)
    rule = "the weights are quantized (fp8 in blocks of 16 x 20); sizes are those of dequantized weights"
    assert caplog.messages == [f"{folder / 'config.json'}: {rule}"]
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    torch.testing.assert_close(model(TOKENS), theirs(TOKENS).logits, atol=1e-5, rtol=0)
    broken = {**tensors, "model.layers.0.mlp.up_proj.weight_scale_inv": torch.ones(3, 3)}
    with pytest.raises(Refused, match=r"up_proj.weight_scale_inv must be \[3, 2\] to match the blocks: got \[3, 3\]"):
        load_network(written(tmp_path / "broken", source, FP8, broken))
    with pytest.raises(Refused, match=r"must be a floating-point tensor: got torch.float8"):
        load_network(
            written(tmp_path / "no_scales", source, {}, {n: t for n, t in tensors.items() if "scale" not in n})
        )


@torch.no_grad()
def test_mxfp4_is_read(tmp_path: Path) -> None:
    """Each number decoded by itself: sign, and the eight magnitudes of e2m1, times the power of two of its group."""
    theirs: Any = made(gpt_oss("mxfp4", intermediate_size=32, num_hidden_layers=1, num_local_experts=2))
    theirs.save_pretrained(tmp_path / "plain")
    generator = torch.Generator().manual_seed(0)
    tensors = {}
    for name, tensor in load_file(tmp_path / "plain" / "model.safetensors").items():
        if not name.endswith(("gate_up_proj", "down_proj")):
            tensors[name] = tensor
            continue
        experts, inputs, outputs = tensor.shape
        packed = torch.randint(256, (experts, outputs, inputs // 32, 16), generator=generator, dtype=torch.uint8)
        scales = torch.randint(122, 126, (experts, outputs, inputs // 32), generator=generator, dtype=torch.uint8)
        tensors[f"{name}_blocks"], tensors[f"{name}_scales"] = packed, scales
        parameter = theirs.get_parameter(name)
        for expert, out, place in itertools.product(range(experts), range(outputs), range(inputs)):
            byte = int(packed[expert, out, place // 32, place % 32 // 2])
            bits = byte % 16 if place % 2 == 0 else byte // 16
            value = (0, 0.5, 1, 1.5, 2, 3, 4, 6)[bits % 8] * (-1 if bits > 7 else 1)
            parameter[expert, place, out] = value * 2.0 ** (int(scales[expert, out, place // 32]) - 127)
    folder = written(tmp_path / "packed", tmp_path / "plain", {"quant_method": "mxfp4"}, tensors)
    torch.testing.assert_close(load_network(folder)(TOKENS), theirs(TOKENS).logits, atol=1e-5, rtol=0)
    one = next(name for name in tensors if name.endswith("_scales"))
    broken = {**tensors, one: tensors[one][:, :-1].contiguous()}
    with pytest.raises(Refused, match=r"_blocks must be \[experts, outputs, groups, 16\] and "):
        load_network(written(tmp_path / "broken", tmp_path / "plain", {"quant_method": "mxfp4"}, broken))


@pytest.mark.parametrize(
    ("quantization", "named"),
    [
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "awq"),
        ({"quant_method": "gptq", "bits": 4}, "gptq"),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "bitsandbytes"),
        ({"quant_method": "compressed-tensors", "format": "float-quantized"}, "compressed-tensors"),
        ({"quant_algo": "FP8", "producer": {"name": "modelopt"}}, "FP8"),
        ({"quant_method": "fp8"}, "fp8"),
    ],
)
def test_another_method_is_shown_and_not_loaded(
    quantization: dict[str, Any], named: str, plain: tuple[Path, Any], tmp_path: Path
) -> None:
    folder = written(tmp_path / "it", plain[0], quantization, {"x": torch.zeros(1)})
    counted = shown(["model=hub", f"model.path={folder}"])["parameters"]
    assert counted == sum(p.numel() for p in plain[1].parameters())
    message = rf"the weights are quantized \({named}\), which cannot be read: dequantize them first, "
    with pytest.raises(Refused, match=message):
        load_network(folder)
    trained = zoo("train", "model=hub", f"model.path={folder}", "data/tokenizer=bytes", f"runs={tmp_path}")
    assert trained.code == 2
    assert f"zoo: model.path: the weights are quantized ({named})" in trained.err


def test_what_is_no_quantization_is_refused(plain: tuple[Path, Any], tmp_path: Path) -> None:
    for given, line in (
        (8, "quantization_config must be a mapping: got 8"),
        ({**FP8, "weight_block_size": [128]}, "weight_block_size must be two positive numbers"),
    ):
        folder = written(tmp_path / str(type(given)), plain[0], given, {"x": torch.zeros(1)})  # type: ignore[arg-type]
        with pytest.raises(Refused, match=line):
            describe(folder)

"""Published weights, as zoo exports them, under the names of the peers."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from zoo.hub.family_index import find_family
from zoo.hub.weights import iterate_published_tensors
from zoo.model.variants.variant import Variant

FAMILIES = {"gpt": "gpt2", "llama": "llama", "mixtral": "mixtral"}
_PLAIN_LAYER = {
    "ln_1": "attention_norm",
    "attn.c_attn": "query_key_value",
    "attn.c_proj": "output",
    "ln_2": "ffn_norm",
    "mlp.c_fc": "up",
    "mlp.c_proj": "down",
}
_TORCH_LAYER = {
    "ln_1.": "norm1.",
    "attn.c_attn.": "self_attn.in_proj_",
    "attn.c_proj.": "self_attn.out_proj.",
    "ln_2.": "norm2.",
    "mlp.c_fc.": "linear1.",
    "mlp.c_proj.": "linear2.",
}
_LITGPT_LAYER = {
    "input_layernorm": "norm_1",
    "self_attn.o_proj": "attn.proj",
    "post_attention_layernorm": "norm_2",
    "mlp.gate_proj": "mlp.fc_1",
    "mlp.up_proj": "mlp.fc_2",
    "mlp.down_proj": "mlp.proj",
}


def export_weights(model: Variant, family: str) -> dict[str, Tensor]:
    """Returns copies of the weights of a model of zoo under their published names."""
    published = iterate_published_tensors(model, find_family(FAMILIES[family]))
    return {name: tensor.clone() for name, tensor in published}


def rename_for_transformers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames weights for a model of transformers within :class:`experiments.speed.peers.LogitsOnly`."""
    renamed = {f"model.{name}": tensor for name, tensor in weights.items()}
    if "transformer.wte.weight" in weights:
        renamed["model.lm_head.weight"] = weights["transformer.wte.weight"]
    return renamed


def rename_for_plain_gpt(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames the weights of GPT-2 for :class:`experiments.speed.plain_gpt.PlainGpt`."""
    ends = {"wte.": "table.", "wpe.": "positions.", "ln_f.": "norm."}
    layer = {f"{old}.": f"{new}." for old, new in _PLAIN_LAYER.items()}
    return _rename_gpt2(weights, ends, layer, "layers")


def rename_for_torch_encoder(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames the weights of GPT-2 for :class:`experiments.speed.peers.TorchEncoder`."""
    ends = {"wte.": "table.", "wpe.": "positions.", "ln_f.": "encoder.norm."}
    return _rename_gpt2(weights, ends, _TORCH_LAYER, "encoder.layers")


def _rename_gpt2(
    weights: Mapping[str, Tensor], ends: Mapping[str, str], layer: Mapping[str, str], layers: str
) -> dict[str, Tensor]:
    """Renames weights, and transposes the matrices of layers, which GPT-2 stores as ``[inputs, outputs]``."""
    renamed = {}
    for name, tensor in weights.items():
        name = name.removeprefix("transformer.")
        if name.startswith("h."):
            _, number, rest = name.split(".", 2)
            old = next(old for old in layer if rest.startswith(old))
            renamed[f"{layers}.{number}.{layer[old]}{rest.removeprefix(old)}"] = tensor.T if tensor.ndim > 1 else tensor
        elif not name.startswith("lm_head"):
            old = next(old for old in ends if name.startswith(old))
            renamed[ends[old] + name.removeprefix(old)] = tensor
    return renamed


def rename_for_litgpt(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Renames the weights of Llama for LitGPT, which has queries, keys and values in one matrix."""
    names = {"model.embed_tokens": "transformer.wte", "model.norm": "transformer.ln_f", "lm_head": "lm_head"}
    renamed = {}
    for name, tensor in weights.items():
        if not name.startswith("model.layers."):
            renamed[f"{names[name.removesuffix('.weight')]}.weight"] = tensor
            continue
        number, rest = name.removeprefix("model.layers.").removesuffix(".weight").split(".", 1)
        if rest in _LITGPT_LAYER:
            renamed[f"transformer.h.{number}.{_LITGPT_LAYER[rest]}.weight"] = tensor
        elif rest == "self_attn.q_proj":
            parts = [weights[f"model.layers.{number}.self_attn.{part}_proj.weight"] for part in "qkv"]
            renamed[f"transformer.h.{number}.attn.qkv.weight"] = torch.cat(parts)
    return renamed

"""Peers: the models of other packages, of the same shape as those of zoo, and the weights of zoo in their form."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.speed import peer_weights
from experiments.speed.plain_gpt import PlainGpt
from experiments.speed.shapes import Shape

Logits = Callable[[Tensor], Tensor]
Weights = Mapping[str, Tensor]
_NO_TOKENS: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None}  # so that generation has no end


@dataclass(frozen=True)
class Peer:
    """A model of another package.

    Args:
        name: of the peer, as in the report.
        package: distribution that must be installed; empty if it comes with PyTorch.
        family: ``gpt`` or ``llama``.
        build: makes the model of a shape.
        load: renames published weights (GPT-2's or Llama's) for the model; None if it cannot have the same weights.
        differences: in what the model differs from zoo's, where they cannot be equal; empty if they are.
    """

    name: str
    package: str
    family: str
    build: Callable[[Shape], nn.Module]
    load: Callable[[Weights], dict[str, Tensor]] | None
    differences: str = ""

    def find_reason_missing(self) -> str:
        """Returns why the peer cannot be measured here; empty if it can."""
        try:
            if self.package:
                version(self.package)
        except PackageNotFoundError:
            return f"{self.package} is not installed"
        return ""


class TorchEncoder(nn.Module):
    """GPT of ``torch.nn.TransformerEncoder``, between tables and a tied head."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.table = nn.Embedding(shape.vocabulary, shape.dim)
        self.positions = nn.Embedding(shape.positions, shape.dim)
        layer = nn.TransformerEncoderLayer(
            shape.dim, shape.heads, 4 * shape.dim, 0.0, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, shape.layers, nn.LayerNorm(shape.dim), enable_nested_tensor=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Computes logits ``[batch, length, vocabulary]``."""
        length = tokens.shape[1]
        x = self.table(tokens) + self.positions(torch.arange(length, device=tokens.device))
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=tokens.device)
        return F.linear(self.encoder(x, mask=mask, is_causal=True), self.table.weight)


class LogitsOnly(nn.Module):
    """A model of transformers that returns its logits alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor) -> Tensor:
        """Computes logits ``[batch, length, vocabulary]``."""
        logits: Tensor = self.model(input_ids=tokens, use_cache=False).logits
        return logits


def _build_gpt2(shape: Shape) -> nn.Module:
    transformers: Any = importlib.import_module("transformers")
    rates = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0) | _NO_TOKENS
    sizes = {"n_embd": shape.dim, "n_layer": shape.layers, "n_head": shape.heads, "n_positions": shape.positions}
    config = transformers.GPT2Config(
        vocab_size=shape.vocabulary, activation_function="gelu", attn_implementation="sdpa", **sizes, **rates
    )
    return LogitsOnly(transformers.GPT2LMHeadModel(config))


def _build_llama(shape: Shape) -> nn.Module:
    transformers: Any = importlib.import_module("transformers")
    config = transformers.LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.dim,
        intermediate_size=shape.get_hidden("llama"),
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.positions,
        rms_norm_eps=1e-5,
        attn_implementation="sdpa",
        **_NO_TOKENS,
    )
    return LogitsOnly(transformers.LlamaForCausalLM(config))


def _build_litgpt(shape: Shape) -> nn.Module:
    litgpt: Any = importlib.import_module("litgpt.model")
    config: Any = importlib.import_module("litgpt.config").Config(
        block_size=shape.positions,
        vocab_size=shape.vocabulary,
        padded_vocab_size=shape.vocabulary,
        n_layer=shape.layers,
        n_head=shape.heads,
        n_embd=shape.dim,
        n_query_groups=shape.kv_heads,
        rotary_percentage=1.0,
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        norm_eps=1e-5,
        mlp_class_name="LLaMAMLP",
        intermediate_size=shape.get_hidden("llama"),
    )
    model: nn.Module = litgpt.GPT(config)
    return model


def _build_x_transformers(shape: Shape, family: str) -> nn.Module:
    package: Any = importlib.import_module("x_transformers")
    head_dim = shape.dim // shape.heads
    own: dict[str, Any] = {}
    if family == "llama":
        own = {"rotary_pos_emb": True, "rotary_emb_dim": head_dim, "use_rmsnorm": True, "attn_kv_heads": shape.kv_heads}
        own |= {"ff_glu": True, "ff_swish": True, "ff_no_bias": True, "ff_mult": shape.get_hidden(family) / shape.dim}
    layers = package.Decoder(
        dim=shape.dim, depth=shape.layers, heads=shape.heads, attn_dim_head=head_dim, attn_flash=True, **own
    )
    model: nn.Module = package.TransformerWrapper(
        num_tokens=shape.vocabulary,
        max_seq_len=shape.positions,
        tie_embedding=family == "gpt",
        use_abs_pos_emb=family == "gpt",
        attn_layers=layers,
    )
    return model


PEERS = (
    Peer("plain loop", "", "gpt", PlainGpt, peer_weights.rename_for_plain_gpt),
    Peer("transformers", "transformers", "gpt", _build_gpt2, peer_weights.rename_for_transformers),
    Peer("torch.nn", "", "gpt", TorchEncoder, peer_weights.rename_for_torch_encoder),
    Peer(
        "x-transformers",
        "x-transformers",
        "gpt",
        lambda shape: _build_x_transformers(shape, "gpt"),
        None,
        "no biases in attention and norms",
    ),
    Peer("transformers", "transformers", "llama", _build_llama, peer_weights.rename_for_transformers),
    Peer("LitGPT", "litgpt", "llama", _build_litgpt, peer_weights.rename_for_litgpt),
    Peer(
        "x-transformers",
        "x-transformers",
        "llama",
        lambda shape: _build_x_transformers(shape, "llama"),
        None,
        "a bias in the gated product; other order of rotated features",
    ),
)


def list_peers(family: str) -> list[Peer]:
    """Lists the peers of a family, installed or not."""
    return [peer for peer in PEERS if peer.family == family]

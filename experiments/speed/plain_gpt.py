"""A GPT in plain PyTorch, in the shape of nanoGPT: no option, and no part that can be exchanged.

Layers are pre-norm with one matrix for queries, keys and values, the exact GELU and biases; the table is also the head.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiments.speed.shapes import Shape


class PlainLayer(nn.Module):
    """Layer of :class:`PlainGpt`."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm, self.ffn_norm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.query_key_value, self.output = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.up, self.down = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Adds attention and feed-forward to ``x`` ``[batch, length, dim]``."""
        batch, length, dim = x.shape
        parts = self.query_key_value(self.attention_norm(x)).split(dim, dim=2)
        q, k, v = (part.view(batch, length, self.heads, -1).transpose(1, 2) for part in parts)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.output(seen.transpose(1, 2).reshape(batch, length, dim))
        update: Tensor = self.down(F.gelu(self.up(self.ffn_norm(x))))
        return x + update


class PlainGpt(nn.Module):
    """A GPT in plain PyTorch."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.table = nn.Embedding(shape.vocabulary, shape.dim)
        self.positions = nn.Embedding(shape.positions, shape.dim)
        self.layers = nn.ModuleList(PlainLayer(shape.dim, shape.heads) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Computes logits ``[batch, length, vocabulary]`` of ``tokens`` ``[batch, length]``."""
        x = self.table(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device))
        for layer in self.layers:
            x = layer(x)
        return F.linear(self.norm(x), self.table.weight)

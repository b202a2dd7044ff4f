"""Layers and stacks of layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn

from zoo.checks import Refused
from zoo.model.cache import Cache
from zoo.model.compilation import compile_function, find_graph_breaks
from zoo.model.interfaces import Attention, FeedForward, Norm, Position, Residual, Sublayer
from zoo.model.mask import Mask, Tokens


@dataclass(frozen=True)
class LayerCache:
    """Caches of one layer: of self-attention and of cross-attention; None where it has no such sublayer."""

    attention: Cache | None
    cross: Cache | None

    def select(self, rows: Tensor) -> None:
        """Keeps these rows of the batch ``[new_batch]``, in this order."""
        for cache in (self.attention, self.cross):
            if cache is not None:
                cache.select(rows)


@final
class Layer(nn.Module):
    """Sublayers wired by a residual component.

    Args:
        attention: self-attention, or None.
        cross: attention to the output of an encoder, or None.
        ffn: feed-forward sublayer, or None.
        residual: residual component for this number of sublayers.
        place: index of the layer's position among those of the stack.
        dropout: probability of zeroing a feature of a sublayer's output in training.
    """

    def __init__(
        self,
        attention: Attention | None,
        cross: Attention | None,
        ffn: FeedForward | None,
        residual: Residual,
        place: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention, self.cross, self.ffn, self.residual = attention, cross, ffn, residual
        self.place = place
        self.dropout = nn.Dropout(dropout)

    compiled: tuple[bool, bool] | None = None
    """How training calls it compiled: as one graph, with variable sizes (``compile_function``); None: not compiled."""

    def forward(
        self,
        x: Tensor,
        mask: Mask,
        position: Position,
        no_position: Position,
        memory: Tensor | None,
        cross_mask: Mask | None,
        cache: LayerCache | None,
    ) -> Tensor:
        """Computes the output of the layer.

        Args:
            x: ``[batch, length, dim]``, or with several residual streams what ``residual.widen`` returns.
            mask: mask of self-attention.
            position: position of self-attention.
            no_position: position ``none``, of cross-attention.
            memory: output of the encoder ``[batch, source, dim]``, or None.
            cross_mask: mask of cross-attention, or None.
            cache: caches of the layer, or None outside of decoding.
        Returns:
            a tensor of the shape of ``x``.
        """
        run = compile_function(Layer._run, *self.compiled) if self.compiled and self.training else Layer._run
        out: Tensor = run(self, x, mask, position, no_position, memory, cross_mask, cache)
        return out

    def _run(
        self,
        x: Tensor,
        mask: Mask,
        position: Position,
        no_position: Position,
        memory: Tensor | None,
        cross_mask: Mask | None,
        cache: LayerCache | None,
    ) -> Tensor:
        sublayers: list[Sublayer] = []
        own, across = (cache.attention, cache.cross) if cache is not None else (None, None)
        if (attention := self.attention) is not None:
            sublayers.append(lambda x: self._drop(attention(x, x, mask, position, own)))
        if (cross := self.cross) is not None and memory is not None and cross_mask is not None:
            sublayers.append(lambda x: self._drop(cross(x, memory, cross_mask, no_position, across)))
        if (ffn := self.ffn) is not None:
            sublayers.append(lambda x: self._drop(ffn(x, mask.query)))
        return self.residual(x, sublayers)

    def _drop(self, x: Tensor) -> Tensor:
        return self.dropout(x) if self.training else x  # a call that does nothing costs as much as a small operation

    @property
    def sublayers(self) -> int:
        """Number of sublayers."""
        return sum(part is not None for part in (self.attention, self.cross, self.ffn))

    def flops(self, mask: Mask, cross_mask: Mask | None) -> int:
        """Counts forward operations for one row."""
        total = self.residual.flops(mask)
        total += self.attention.flops(mask) if self.attention is not None else 0
        total += self.cross.flops(cross_mask) if self.cross is not None and cross_mask is not None else 0
        return total + (self.ffn.flops(mask) if self.ffn is not None else 0)

    def create_cache(self, capacity: int, source: int) -> LayerCache:
        """Creates empty caches for up to ``capacity`` tokens and ``source`` tokens of an encoder."""
        own = self.attention.create_cache(capacity) if self.attention is not None else None
        return LayerCache(own, self.cross.create_cache(source) if self.cross is not None else None)


@final
class Stack(nn.Module):
    """Sequence of layers.

    Args:
        layers: layers with distinct weights, in order.
        positions: distinct position components of the layers.
        no_position: position ``none``, of cross-attention.
        depth: number of applied layers, which cycle through ``layers``.
        causal: whether tokens attend only to tokens that arrived before them.
        input_norm: norm of the embeddings (BERT), or None.
        project: projection from the width of the embeddings to that of the layers (ALBERT), or None if they are equal.
        final_norm: norm after the last layer, or None.
        dropout: probability of zeroing a feature of the embeddings in training.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        positions: Sequence[Position],
        no_position: Position,
        *,
        depth: int,
        causal: bool,
        input_norm: Norm | None,
        project: nn.Linear | None,
        final_norm: Norm | None,
        dropout: float,
    ) -> None:
        super().__init__()
        self.positions = nn.ModuleList(positions)
        self.no_position = no_position
        self.input_norm, self.project = input_norm, project
        self.layers = nn.ModuleList(layers)
        self.final_norm = final_norm
        self.dropout = nn.Dropout(dropout)
        self.depth, self.causal = depth, causal
        self._rotated_widths = [_find_rotated_widths(layers, place) for place in range(len(positions))]

    def forward(
        self,
        x: Tensor,
        tokens: Tokens,
        prefix: Tensor | None = None,
        memory: Tensor | None = None,
        memory_tokens: Tokens | None = None,
        caches: Sequence[LayerCache] | None = None,
    ) -> Tensor:
        """Computes hidden states ``[batch, length, dim]``.

        Args:
            x: embeddings ``[batch, length, width]``.
            tokens: the tokens of ``x``.
            prefix: number of leading tokens that all tokens may attend to ``[batch]``, or None.
            memory: output of the encoder ``[batch, source, dim]``, or None.
            memory_tokens: the tokens of ``memory``, or None.
            caches: one for each applied layer, or None outside of decoding.
        """
        for position in self._list_positions():
            x = position.embed(x, tokens.position)
        x = self.dropout(x if self.input_norm is None else self.input_norm(x))
        x = x if self.project is None else self.project(x)
        mask = Mask(tokens, tokens, causal=self.causal, prefix=prefix)
        cross_mask = Mask(tokens, memory_tokens) if memory_tokens is not None else None
        positions, layers = self._list_positions(), self.list_applied_layers()
        for position, widths in zip(positions, self._rotated_widths, strict=True):
            position.prepare(tokens.position, widths, x)
        x = layers[0].residual.widen(x)
        for i, layer in enumerate(layers):
            cache = caches[i] if caches is not None else None
            x = layer(x, mask, positions[layer.place], self.no_position, memory, cross_mask, cache)
        x = layers[-1].residual.narrow(x)
        return x if self.final_norm is None else self.final_norm(x)

    @property
    def limit(self) -> int | None:
        """Longest row that its positions and attentions support, in tokens; None is no limit."""
        limits = [p.limit for p in self._list_positions()]
        limits += [layer.attention.limit for layer in self.list_distinct_layers() if layer.attention is not None]
        return min((limit for limit in limits if limit is not None), default=None)

    def flops(self, length: int, source: int | None = None) -> int:
        """Counts forward operations for one row of ``length`` tokens; ``source`` is the length of the encoder's row."""
        tokens = Tokens.from_length(length, device="cpu")
        mask = Mask(tokens, tokens, causal=self.causal)
        cross_mask = None if source is None else Mask(tokens, Tokens.from_length(source, device="cpu"))
        entrance = 0 if self.project is None else 2 * length * self.project.weight.numel()
        positions, layers = self._list_positions(), self.list_applied_layers()
        biased = [item for item in layers if item.attention is not None and "bias" in item.attention.position_hooks]
        entrance += sum(positions[layer.place].flops(mask) for layer in biased)
        return entrance + sum(layer.flops(mask, cross_mask) for layer in layers)

    def compile_layers(self, is_dynamic: bool) -> None:
        """Lets training call the layers compiled; evaluation and decoding, whose sizes vary, do not.

        Args:
            is_dynamic: whether the sizes of batches vary, so that one graph must serve all of them.
        """
        for layer in self.list_distinct_layers():
            layer.compiled = (not find_graph_breaks(layer), is_dynamic)

    def create_caches(self, capacity: int, source: int = 0) -> list[LayerCache]:
        """Creates empty caches, one for each applied layer."""
        return [layer.create_cache(capacity, source) for layer in self.list_applied_layers()]

    def list_applied_layers(self) -> list[Layer]:
        """Lists the layers in the order in which they are applied; layers that share weights are the same object."""
        layers = self.list_distinct_layers()
        return [layers[i % len(layers)] for i in range(self.depth)]

    def list_distinct_layers(self) -> list[Layer]:
        """Lists the layers with distinct weights."""
        return [layer for layer in self.layers if isinstance(layer, Layer)]

    def _list_positions(self) -> list[Position]:
        return [position for position in self.positions if isinstance(position, Position)]

    if TYPE_CHECKING:
        __call__ = forward


def _find_rotated_widths(layers: Sequence[Layer], place: int) -> frozenset[int]:
    """Finds the widths of the queries and keys that the position at ``place`` rotates."""
    attentions = (layer.attention for layer in layers if layer.place == place)
    return frozenset(attention.rotated_width for attention in attentions if attention is not None) - {0}


def build_tokens(
    length: int, start: int, position: Tensor | None, segment: Tensor | None, device: torch.device
) -> Tokens:
    """Builds the tokens of a model's inputs.

    Without ``position``, positions count the tokens that are not padding.

    Args:
        length: tokens of a row.
        start: number of tokens that arrived before.
        position: ``[batch or 1, length]``, or None.
        segment: ``[batch, length]``, or None without padding and packing.
        device: device of the tensors.
    Raises:
        Refused: if ``segment`` is given without ``position`` and ``start`` is positive, since the padding of earlier
            tokens is unknown.
    """
    if position is None and segment is not None:
        if start > 0:
            raise Refused(f"position must be given with a segment if start is positive: got start={start}")
        position = ((segment >= 0).long().cumsum(dim=1) - 1).clamp(min=0)
    return Tokens.from_length(length, start=start, position=position, segment=segment, device=device)

"""Base class of mixers with a state, which read rows from left to right, document by document."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.model.cache import Cache
from zoo.model.interfaces import Attention, Position
from zoo.model.mask import Mask, Tokens
from zoo.model.projections import OutputLinear

State = tuple[Tensor, ...]


@dataclass(frozen=True)
class PackedRows:
    """Tokens of a batch of rows in the order in which a recurrence reads them: padding comes last.

    Args:
        is_real: True where a token is not padding, ``[batch, length]``.
        document: document of the previous state, followed by that of each token, ``[batch, 1 + length]``. Padding has
            the document of the last token before it.
        position: positions of the tokens, ``[batch or 1, length]``.
        is_single_document: True if each row is known to be one document without padding.
    """

    is_real: Tensor
    document: Tensor
    position: Tensor
    is_single_document: bool

    def mask_padding(self, x: Tensor) -> Tensor:
        """Sets ``x`` ``[batch, heads, length, width]`` to zero at padding."""
        return x * self.is_real[:, None, :, None]


class Recurrent(Attention):
    """Base class of attentions in which tokens read a state that earlier tokens wrote."""

    supports: ClassVar[frozenset[str]] = frozenset({"causal", "packed"})
    chunk_size: int = 64
    """Tokens that are processed in parallel; a power of two. It affects speed, not results."""
    output: OutputLinear

    @abstractmethod
    def mix(self, x: Tensor, rows: PackedRows, position: Position, state: State) -> tuple[Tensor, State]:
        """Mixes tokens in reading order.

        Padding must not write to the state, and a token must not read what another document wrote.

        Args:
            x: ``[batch, length, dim]``.
            rows: documents and positions of the tokens.
            position: hooks of the position component.
            state: state after the previous call; empty at the first.
        Returns:
            the output ``[batch, length, dim]`` and the new state.
        """

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """Maps ``[batch, length, dim]`` to the same shape; a cache also holds the document of its state."""
        state = cache.state if cache is not None else ()
        rows, order = _sort_tokens(mask.key, len(x), state[-1] if state else None)
        if order is None:
            y, state = self.mix(x, rows, position, state[:-1])
        else:
            sorted_y, state = self.mix(_reorder(x, order), rows, position, state[:-1])
            y = _reorder(sorted_y, order.argsort(dim=1))
        if cache is not None:
            cache.state = (*state, rows.document[:, -1:])
        return y

    def get_branch_weights(self) -> Iterator[Tensor]:
        """Yields the value projection, if there is one, and the output projection (DeepNorm)."""
        if isinstance(value := getattr(self, "value", None), nn.Linear):
            yield value.weight
        yield self.output.weight


def _sort_tokens(tokens: Tokens, batch: int, last: Tensor | None) -> tuple[PackedRows, Tensor | None]:
    """Moves padding behind all other tokens.

    Args:
        tokens: the tokens of the rows.
        batch: number of rows.
        last: document of the previous state ``[batch, 1]``; None: there is none.
    Returns:
        the sorted rows, and the permutation ``[batch, length]`` that sorts them; None leaves tokens where they are.
    """
    index, segment = tokens.index, tokens.segment
    if last is None:
        last = index.new_full((batch, 1), -1)
    if segment is None:
        document = torch.cat([last, index.new_zeros(batch, tokens.length)], dim=1)
        is_real = torch.ones(batch, tokens.length, dtype=torch.bool, device=index.device)
        return PackedRows(is_real, document, tokens.position, is_single_document=True), None
    order = (segment < 0).byte().argsort(dim=1, stable=True)
    segment = segment.gather(1, order)
    is_real = segment >= 0
    document = torch.cat([last, segment], dim=1)  # [batch, 1 + length]
    # Column count of real tokens is the last of them; padding behind it takes over its document.
    final_document = document.gather(1, is_real.sum(dim=1, keepdim=True))
    document = torch.where(F.pad(is_real, (1, 0), value=True), document, final_document)
    position = tokens.position.expand(batch, -1).gather(1, order)
    return PackedRows(is_real, document, position, is_single_document=False), order


def _reorder(x: Tensor, order: Tensor) -> Tensor:
    """Permutes the tokens of ``x`` ``[batch, length, dim]`` by ``order`` ``[batch, length]``."""
    return x.gather(1, order[..., None].expand_as(x))

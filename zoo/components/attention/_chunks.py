"""Chunkwise parallel form of recurrences of outer products: matrix products in place of a loop over tokens.

Decays are passed as logarithms, which are never positive, and are only summed forward in time. So no exponential
exceeds one, however fast a state decays. Documents are separated by masks: the decay at their borders need not be zero.
"""

from __future__ import annotations

import math
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.components.attention._precision import disable_autocast
from zoo.components.attention._recurrent import PackedRows


@final
class Chunks:
    """Division of rows into chunks of equal size, padded on the right.

    The masks are bool and broadcast to ``[batch, heads, chunks, size, …]``.

    Args:
        rows: documents and padding of the tokens.
        max_size: largest number of tokens in a chunk; a power of two.
    Attributes:
        size: tokens of a chunk.
        document: document of each token, ``[batch, 1, chunks, size]``.
        is_visible: True where token i sees token j of its chunk, ``[batch, 1, chunks, size, size]``.
        reads_state: True where a token belongs to the document of the state at the start of its chunk,
            ``[batch, 1, chunks, size, 1]``.
        writes_state: True where a token belongs to the document of the state at the end of its chunk,
            ``[batch, 1, chunks, size, 1]``.
        keeps_state: True where one document spans the whole chunk, so that the state at its start is kept,
            ``[batch, 1, chunks, 1, 1]``.
    """

    def __init__(self, rows: PackedRows, max_size: int) -> None:
        self.rows, self.length = rows, rows.is_real.shape[1]
        self.size = choose_chunk_size(self.length, max_size)
        self.padding = -self.length % self.size
        # Column 0 is the document of the previous state, so token t is column t + 1: [batch, 1 + chunks * size].
        document = torch.cat([rows.document, rows.document[:, -1:].expand(-1, self.padding)], dim=1)
        # The document of the token before each chunk, [batch, 1, chunks, 1].
        previous = torch.unflatten(document[:, :-1], 1, (-1, self.size))[:, None, :, :1]
        self.document = torch.unflatten(document[:, 1:], 1, (-1, self.size))[:, None]
        last = self.document[..., -1:]
        self.is_visible = (self.document[..., :, None] == self.document[..., None, :]).tril()
        self.reads_state = (self.document == previous)[..., None]
        self.writes_state = (self.document == last)[..., None]
        self.keeps_state = (previous == last)[..., None]

    def split(self, x: Tensor) -> Tensor:
        """Splits ``[batch, heads, length, width]`` into ``[batch, heads, chunks, size, width]``."""
        return torch.unflatten(F.pad(x, (0, 0, 0, self.padding)), 2, (-1, self.size))

    def split_masked(self, x: Tensor) -> Tensor:
        """Splits ``[batch, heads, length, width]`` like ``split``, with zeros at padding."""
        return self.split(self.rows.mask_padding(x))

    def join(self, x: Tensor) -> Tensor:
        """Joins ``[batch, heads, chunks, size, width]`` into ``[batch, heads, length, width]``."""
        return x.flatten(2, 3)[:, :, : self.length]

    def compute_decays(self, log_decay_sums: Tensor) -> Tensor:
        """Computes the decay from token j to token i of the same chunk; zero where i does not see j.

        Args:
            log_decay_sums: cumulative sums of log decays, ``[batch or 1, heads, chunks, size, 1]``.
        Returns:
            ``[batch, heads, chunks, size, size]``.
        """
        return (log_decay_sums - log_decay_sums.mT).masked_fill(~self.is_visible, -math.inf).exp()


def choose_chunk_size(length: int, max_size: int) -> int:
    """Returns the smallest power of two that is at least ``length``, but at most ``max_size``."""
    return min(max_size, 1 << (length - 1).bit_length())


def compute_recurrence(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, rows: PackedRows, max_size: int, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Computes S_t = a_t S_{t-1} + k_t v_tᵀ and y_t = S_tᵀ q_t, with a scalar decay a_t for each head.

    Args:
        q: ``[batch, groups, length, key width]``; each group is shared by ``heads / groups`` consecutive heads.
        k: ``[batch, groups, length, key width]``.
        v: ``[batch, heads, length, value width]``.
        log_decay: log a, ``[batch or 1, heads, length, 1]``.
        rows: documents and padding of the tokens.
        max_size: largest number of tokens in a chunk; a power of two.
        state: S before the first token, ``[batch, heads, key width, value width]``; None is zero.
    Returns:
        y ``[batch, heads, length, value width]`` and S after the last token.
    """
    with disable_autocast(v):
        chunks, repeats = Chunks(rows, max_size), v.shape[1] // q.shape[1]
        # From here on [batch, groups or heads, chunks, size, width]. Padding writes nothing and does not decay.
        q, k, v = chunks.split(q), chunks.split_masked(k), chunks.split(v)
        log_decay_sums = chunks.split_masked(log_decay).cumsum(dim=-2)
        # q · k once for each group: [batch, heads, chunks, size, size] after the repetition.
        scores = (q @ k.mT).repeat_interleave(repeats, dim=1) * chunks.compute_decays(log_decay_sums)
        q, k = q.repeat_interleave(repeats, dim=1), k.repeat_interleave(repeats, dim=1)
        recalled, state = scan_chunks(q, k, v, log_decay_sums, chunks, state)
        return chunks.join(scores @ v + recalled), state


def compute_weights(q: Tensor, k: Tensor, log_decay: Tensor, rows: PackedRows, max_size: int) -> Tensor:
    """Computes the weights w of :func:`compute_recurrence`, with which y_t = Σ_s w_ts v_s: its output for unit vectors.

    Args:
        q: ``[batch, groups, length, key width]``.
        k: ``[batch, groups, length, key width]``.
        log_decay: log a, ``[batch or 1, heads, length, 1]``.
        rows: documents and padding of the tokens.
        max_size: largest number of tokens in a chunk; a power of two.
    Returns:
        ``[batch, heads, length, length]``.
    """
    return compute_recurrence(q, k, make_unit_values(k, log_decay.shape[1]), log_decay, rows, max_size, None)[0]


def make_unit_values(k: Tensor, heads: int) -> Tensor:
    """Returns a unit vector as the value of each key, ``[batch, heads, length, length]``.

    The output of a mixer that is linear in its values is then the matrix of its weights.

    Args:
        k: keys ``[batch, groups, length, width]``.
        heads: number of heads of the values.
    """
    return torch.eye(k.shape[2], dtype=k.dtype, device=k.device).expand(len(k), heads, -1, -1)


def scan_chunks(
    q: Tensor, k: Tensor, v: Tensor, log_decay_sums: Tensor, chunks: Chunks, state: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Passes the state from chunk to chunk and reads it at the start of each.

    Args:
        q: ``[batch, heads, chunks, size, key width]``.
        k: ``[batch, heads, chunks, size, key width]``.
        v: ``[batch, heads, chunks, size, value width]``.
        log_decay_sums: cumulative sums of log decays within chunks, ``[batch or 1, heads, chunks, size, 1 or key
            width]``.
        chunks: division of the rows.
        state: S before the first chunk, ``[batch, heads, key width, value width]``; None is zero.
    Returns:
        the contribution of earlier chunks ``[batch, heads, chunks, size, value width]`` and S after the last chunk.
    """
    total = log_decay_sums[..., -1:, :]  # log decay of a whole chunk, [batch or 1, heads, chunks, 1, 1 or key width]
    # Each key decays from its token to the end of the chunk: [batch, heads, chunks, key width, value width].
    updates = (k * (total - log_decay_sums).exp() * chunks.writes_state).mT @ v
    decays = total.exp().mT * chunks.keeps_state  # [batch, heads, chunks, 1 or key width, 1]
    current = torch.zeros_like(updates[:, :, 0]) if state is None else state
    starts = []
    for update, decay in zip(updates.unbind(2), decays.unbind(2), strict=True):
        starts.append(current)
        current = current * decay + update
    return (q * log_decay_sums.exp() * chunks.reads_state) @ torch.stack(starts, dim=2), current

"""What mixers with a state have in common: rows are read from left to right, document by document."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from zoo.model.cache import Cache
from zoo.model.interfaces import Attention, Position
from zoo.model.mask import Mask, Tokens
from zoo.model.packing import PackedDocuments
from zoo.model.projections import OutputLinear

State = tuple[Tensor, ...]


@dataclass(frozen=True)
class PackedRow:
    """The tokens of rows in the order in which they are read: padding stands behind all others.

    Args:
        real: whether a token is not padding, ``[batch, length]``.
        document: of the state, then of each token, ``[batch, 1 + length]``; padding counts to the document before it.
        position: ``[batch or 1, length]``.
        whole: whether each row is known to be one document without padding.
    """

    real: Tensor
    document: Tensor
    position: Tensor
    whole: bool

    def only_real(self, x: Tensor) -> Tensor:
        """``[batch, heads, length, width]``, zero at padding."""
        return x * self.real[:, None, :, None]


class Recurrent(Attention):
    """What a token takes depends on a state that the tokens before it have written."""

    supports: ClassVar[frozenset[str]] = frozenset({"causal", "packed"})
    chunk: int = 64
    """Tokens that are mixed at once; a power of two. It changes how long the work takes, not what comes out."""
    output: OutputLinear

    @abstractmethod
    def mix(self, x: Tensor, row: PackedRow, position: Position, state: State) -> tuple[Tensor, State]:
        """``[batch, length, dim]`` to the same shape; what is left of ``state``, which is empty at first.

        Padding must not write to the state, and nothing may be read of a document other than the token's.
        """

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        """``[batch, length, dim]`` to the same shape; the last tensor of a cache's state is its document."""
        state = cache.state if cache is not None else ()
        row, order = _read(mask.key, len(x), state[-1] if state else None)
        if order is None:
            y, state = self.mix(x, row, position, state[:-1])
        else:
            sorted_y, state = self.mix(_ordered(x, order), row, position, state[:-1])
            y = _ordered(sorted_y, order.argsort(dim=1))
        if cache is not None:
            cache.state = (*state, row.document[:, -1:])
        return y

    def get_branch_weights(self) -> Iterator[Tensor]:
        """Values, where there is a matrix for them, and output; the others only steer (DeepNorm)."""
        if isinstance(value := getattr(self, "value", None), nn.Linear):
            yield value.weight
        yield self.output.weight


def _read(tokens: Tokens, batch: int, last: Tensor | None) -> tuple[PackedRow, Tensor | None]:
    """Sorts tokens into a packed row, and gives the order that does it; None leaves them where they are."""
    index, segment = tokens.index, tokens.segment
    if last is None:
        last = index.new_full((batch, 1), -1)
    if segment is None:
        document = torch.cat([last, index.new_zeros(batch, tokens.length)], dim=1)
        real = torch.ones(batch, tokens.length, dtype=torch.bool, device=index.device)
        return PackedRow(real, document, tokens.position, whole=True), None
    order = (segment < 0).byte().argsort(dim=1, stable=True)
    segment = segment.gather(1, order)
    real = segment >= 0
    document = torch.cat([last, segment], dim=1)
    final_document = document.gather(1, real.sum(dim=1, keepdim=True))
    document = torch.where(F.pad(real, (1, 0), value=True), document, final_document)
    return PackedRow(real, document, tokens.position.expand(batch, -1).gather(1, order), whole=False), order


def _ordered(x: Tensor, order: Tensor) -> Tensor:
    return x.gather(1, order[..., None].expand_as(x))


def wide(x: Tensor) -> Tensor:
    """The same numbers in float32, or in float64 if that is what they are."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """Sums over a whole row are not for half precision, whatever autocast says."""
    return nullcontext() if x.is_meta else torch.autocast(x.device.type, enabled=False)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """``[batch, length, heads * width]`` to ``[batch, heads, length, width]``."""
    return torch.unflatten(x, -1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """``[batch, heads, length, width]`` to ``[batch, length, heads * width]``."""
    return x.transpose(1, 2).flatten(2)


@final
class TimeStep(nn.Module):
    """Δ = softplus(x + bias), and -exp(log_rate) Δ as the logarithm of a decay.

    At first Δ(0) is log-uniform in [0.001, 0.1] and the rate uniform in [1, 16].

    Args:
        heads: each has its bias and its rate.
    Source: Gu and Dao 2023 (arXiv:2312.00752), Dao and Gu 2024.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        step = torch.exp(torch.empty(heads).uniform_(math.log(0.001), math.log(0.1)))
        self.bias = nn.Parameter(step + torch.log(-torch.expm1(-step)))  # softplus of it is the step
        self.log_rate = nn.Parameter(torch.empty(heads).uniform_(1.0, 16.0).log())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``[batch, length, heads]`` to step and log decay, each ``[batch, heads, length, 1]``, in float32 at least."""
        step = F.softplus(wide(x) + self.bias).transpose(1, 2)[..., None]
        return step, -wide(self.log_rate).exp()[:, None, None] * step


class Network(Recurrent):
    """A network of torch with hidden states, read out by a matrix; its steps follow each other, token by token.

    Args:
        network: batch first; its first weights are torch's, uniform in ± hidden_size^-0.5, in every initialization.
        dim: features per token.
        states: tensors ``[batch, hidden size]`` that it hands on.
    """

    def __init__(self, network: nn.LSTM | nn.GRU, dim: int, states: int) -> None:
        super().__init__()
        self.network, self.states = network, states
        self.output = OutputLinear(network.hidden_size, dim, bias=False)

    def mix(self, x: Tensor, row: PackedRow, position: Position, state: State) -> tuple[Tensor, State]:
        """The state is the network's own, batch first."""
        x = x.to(self.output.weight.dtype)
        if not state:
            state = (x.new_zeros(len(x), self.network.hidden_size),) * self.states
        if row.whole:
            goes_on = row.document[:, :1] == row.document[:, 1:2]
            hidden, state = self._run(x, tuple(torch.where(goes_on, s, 0.0) for s in state))
        elif row.real.any():
            hidden, state = self._apart(x, row, state)
        else:
            hidden = x.new_zeros(*x.shape[:2], self.network.hidden_size)
        return self.output(hidden), state

    def _apart(self, x: Tensor, row: PackedRow, state: State) -> tuple[Tensor, State]:
        """Each document as a row of its own; the first of a row may go on, the last is remembered."""
        segment = torch.where(row.real, row.document[:, 1:], -1)
        documents = PackedDocuments(segment)
        index = documents.unpack(torch.arange(len(x), device=x.device)[:, None].expand_as(segment))[:, 0]
        number = documents.unpack(segment)[:, 0]
        goes_on, last = ((number == row.document[index, end])[:, None] for end in (0, -1))
        lengths = documents.lengths.cpu()
        packed = pack_padded_sequence(documents.unpack(x), lengths, batch_first=True, enforce_sorted=False)
        hidden, ends = self._run(packed, tuple(torch.where(goes_on, s[index], 0.0) for s in state))
        hidden, _ = pad_packed_sequence(hidden, batch_first=True)
        here = last[:, 0]
        state = tuple(s.index_put((index[here],), end[here]) for s, end in zip(state, ends, strict=True))
        return documents.pack(hidden), state

    def _run(self, x: Any, state: State) -> tuple[Any, State]:
        begin = tuple(s[None] for s in state)
        with full_precision(state[0]):
            hidden, end = self.network(x, begin if self.states > 1 else begin[0])
        ends: State = end if self.states > 1 else (end,)
        return hidden, tuple(s[0] for s in ends)

    def flops(self, mask: Mask) -> int:
        """The network's two matrices and the read-out."""
        network = sum(2 * parameter.numel() for parameter in self.network.parameters() if parameter.ndim == 2)
        return super().flops(mask) + mask.query.length * network

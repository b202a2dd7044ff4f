"""Base class of mixers that are recurrent networks of torch."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from zoo.components.attention._precision import disable_autocast
from zoo.components.attention._recurrent import PackedRows, Recurrent, State
from zoo.model.interfaces import Position
from zoo.model.mask import Mask
from zoo.model.packing import PackedDocuments
from zoo.model.projections import OutputLinear


class RecurrentNetwork(Recurrent):
    """Recurrent network of torch followed by an output projection; tokens are processed one after another.

    Args:
        network: network with ``batch_first=True``. Every initialization keeps its initial weights, which are uniform
            between ± hidden_size^-0.5.
        dim: features per token.
        states: number of state tensors ``[batch, hidden_size]`` of the network.
    """

    graph_break: ClassVar[str] = "torch.compile does not support recurrent networks of torch.nn"

    def __init__(self, network: nn.LSTM | nn.GRU, dim: int, states: int) -> None:
        super().__init__()
        self.network, self.states = network, states
        self.output = OutputLinear(network.hidden_size, dim, bias=False)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def mix(self, x: Tensor, rows: PackedRows, position: Position, state: State) -> tuple[Tensor, State]:
        """Runs the network over ``x``; the state is that of the network, ``states`` times ``[batch, hidden_size]``."""
        x = x.to(self.output.weight.dtype)
        if not state:
            state = (x.new_zeros(len(x), self.network.hidden_size),) * self.states
        if rows.is_single_document:
            continues = rows.document[:, :1] == rows.document[:, 1:2]  # [batch, 1]
            hidden, state = self._run(x, tuple(torch.where(continues, s, 0.0) for s in state))
        elif rows.is_real.any():
            hidden, state = self._run_documents(x, rows, state)
        else:
            hidden = x.new_zeros(*x.shape[:2], self.network.hidden_size)
        return self.output(hidden), state

    def _run_documents(self, x: Tensor, rows: PackedRows, state: State) -> tuple[Tensor, State]:
        """Runs the network over each document as a row of its own.

        The first document of a row may continue from ``state``; the last one leaves the new state.
        """
        segment = torch.where(rows.is_real, rows.document[:, 1:], -1)
        documents = PackedDocuments(segment)
        # For each document: the row it comes from and its number there, both [documents].
        row = documents.unpack(torch.arange(len(x), device=x.device)[:, None].expand_as(segment))[:, 0]
        number = documents.unpack(segment)[:, 0]
        continues, is_last = ((number == rows.document[row, column])[:, None] for column in (0, -1))
        lengths = documents.lengths.cpu()
        packed = pack_padded_sequence(documents.unpack(x), lengths, batch_first=True, enforce_sorted=False)
        hidden, final = self._run(packed, tuple(torch.where(continues, s[row], 0.0) for s in state))
        hidden, _ = pad_packed_sequence(hidden, batch_first=True)  # [documents, longest, hidden_size]
        last = is_last[:, 0]
        state = tuple(s.index_put((row[last],), f[last]) for s, f in zip(state, final, strict=True))
        return documents.pack(hidden), state

    def _run(self, x: Any, state: State) -> tuple[Any, State]:
        """Runs the network over padded or packed rows; torch has a first axis of layers in its states."""
        initial = tuple(s[None] for s in state)
        with disable_autocast(state[0]):
            hidden, final = self.network(x, initial if self.states > 1 else initial[0])
        finals: State = final if self.states > 1 else (final,)
        return hidden, tuple(s[0] for s in finals)

    def flops(self, mask: Mask) -> int:
        """Counts the input and recurrent matrices of the network, and the output projection."""
        network = sum(2 * parameter.numel() for parameter in self.network.parameters() if parameter.ndim == 2)
        return super().flops(mask) + mask.query.length * network

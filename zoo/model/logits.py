"""Logits that are computed some rows at a time, so that those of a whole batch are never in memory.

With a vocabulary of 50,000 tokens, the logits of a batch and their gradient are by far its largest tensors. A sum over
rows needs neither: each chunk of logits is turned into its terms of the sum, and at once into the gradients of hidden
states and weight (Wijmans et al. 2024, arXiv:2411.09009; Hsu et al. 2024, arXiv:2410.10989). Nothing is computed twice.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

ComputeTerms = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""Computes scalars, each a sum over rows, from logits ``[rows, vocabulary]`` and targets ``[rows]``."""

_CHUNK_BYTES = 2**26
"""Float32 logits of a chunk on a CPU: as many as keep matrix products efficient, about 300 rows of GPT-2's."""
_BLOCK_BYTES = 2**22
"""Float32 logits of a block on a CPU, from which terms and their derivatives are computed while they are cached."""
_ACCELERATOR_BYTES = 2**29
"""Float32 logits of a chunk on an accelerator, whose matrix products need thousands of rows."""


@final
@dataclass(frozen=True)
class Logits:
    """Logits x Wᵀ + bias, capped if ``softcap`` is set, of which only some rows are in memory at a time.

    Args:
        x: inputs of the last linear map ``[rows, width]``.
        weight: W ``[vocabulary, width]``.
        bias: ``[vocabulary]``, or None.
        softcap: logits become softcap * tanh(logits / softcap); None is no cap.
    """

    x: Tensor
    weight: Tensor
    bias: Tensor | None = None
    softcap: float | None = None

    @property
    def chunk(self) -> int:
        """Number of rows in memory at a time; chunks have about the same size."""
        rows, limit = len(self.x), max(1, self._get_limits()[0] // (4 * len(self.weight)))
        return rows if rows <= limit else -(-rows // -(-rows // limit))

    @property
    def block(self) -> int:
        """Number of rows of a chunk whose terms are computed at once."""
        return max(1, self._get_limits()[1] // (4 * len(self.weight)))

    def _get_limits(self) -> tuple[int, int]:
        return (_CHUNK_BYTES, _BLOCK_BYTES) if self.x.device.type == "cpu" else (_ACCELERATOR_BYTES, _ACCELERATOR_BYTES)

    def simplify(self) -> Tensor | Logits:
        """Returns a tensor ``[rows, vocabulary]`` if all rows fit into one chunk."""
        return self if self.chunk < len(self.x) else self.materialize()

    def materialize(self) -> Tensor:
        """Computes all logits ``[rows, vocabulary]``."""
        return self.cap(F.linear(self.x, self.weight, self.bias))

    def cap(self, logits: Tensor) -> Tensor:
        """Applies ``softcap``."""
        return logits if self.softcap is None else self.softcap * torch.tanh(logits / self.softcap)

    def multiply(self, out: Tensor) -> None:
        """Writes x Wᵀ + bias, without the cap, to ``out`` ``[rows, vocabulary]`` of the same dtype."""
        if self.bias is None:
            torch.mm(self.x, self.weight.mT, out=out)
        else:
            torch.addmm(self.bias, self.x, self.weight.mT, out=out)

    def cast(self, dtype: torch.dtype) -> Logits:
        """Returns a copy whose tensors have this dtype."""
        bias = None if self.bias is None else self.bias.to(dtype)
        return Logits(self.x.to(dtype), self.weight.to(dtype), bias, self.softcap)

    def __getitem__(self, rows: Tensor | slice) -> Logits:
        """Selects rows."""
        return Logits(self.x[rows], self.weight, self.bias, self.softcap)


def split_logits(logits: Tensor | Logits, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Yields logits ``[chunk, vocabulary]`` and the rows of ``others`` that belong to them."""
    if isinstance(logits, Tensor):
        yield logits, *others
        return
    for start in range(0, len(logits.x), logits.chunk):
        rows = slice(start, start + logits.chunk)
        yield logits[rows].materialize(), *(other[rows] for other in others)


def sum_terms(logits: Tensor | Logits, targets: Tensor, compute: ComputeTerms) -> tuple[Tensor, ...]:
    """Computes scalars that are sums over rows, such as a cross-entropy.

    Args:
        logits: logits of all rows.
        targets: ``[rows]``.
        compute: computes the scalars of some rows.
    Returns:
        the scalars; of :class:`Logits` they can be differentiated once.
    """
    if isinstance(logits, Tensor):
        return compute(logits, targets)
    if not torch.is_grad_enabled():
        parts = [compute(*part) for part in split_logits(logits, targets)]
        return tuple(torch.stack(terms).sum() for terms in zip(*parts, strict=True))
    summed: tuple[Tensor, ...] = _SumInChunks.apply(logits.x, logits.weight, logits.bias, logits, targets, compute)  # type: ignore[no-untyped-call]
    return summed


class _SumInChunks(torch.autograd.Function):
    """Computes sums over rows together with their gradients, which are kept instead of the logits."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, logits: Logits, targets: Tensor, compute: ComputeTerms
    ) -> tuple[Tensor, ...]:
        """Computes the sums; ``x``, ``weight`` and ``bias`` are those of ``logits``."""
        low = logits.cast(_get_product_dtype(x))
        sums = compute(low[:0].materialize(), targets[:0])  # zeros
        gradients = [_Gradients(logits, ctx.needs_input_grad) for _ in sums]
        buffers = [low.x.new_empty(logits.chunk, len(weight)) for _ in sums]  # fresh memory for each chunk costs time
        for start in range(0, len(x), logits.chunk):
            part, wanted = low[start : start + logits.chunk], targets[start : start + logits.chunk]
            of_logits = [buffer[: len(part.x)] for buffer in buffers]
            part.multiply(of_logits[0])
            for terms in _differentiate_blocks(part, of_logits, wanted, compute):
                sums = tuple(total + term for total, term in zip(sums, terms, strict=True))
            for gradient, of_term in zip(gradients, of_logits, strict=True):
                gradient.add(of_term, part, start)
        ctx.save_for_backward(*(tensor for gradient in gradients for tensor in gradient.list_tensors()))
        ctx.dtypes = [None if tensor is None else tensor.dtype for tensor in (x, weight, bias)]
        return sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *scales: Tensor) -> tuple[Tensor | None, ...]:
        """Scales and adds the gradients of the sums."""
        found: list[Tensor | None] = []
        for place, dtype in enumerate(ctx.dtypes):  # those of x, of the weight, and of the bias
            of_terms = ctx.saved_tensors[place::3]
            scaled = [scale * one for scale, one in zip(scales, of_terms, strict=True) if one is not None]
            found.append(functools.reduce(torch.add, scaled).to(dtype) if scaled else None)
        return *found, None, None, None


class _Gradients:
    """Gradients of one sum with respect to x, weight and bias, added up over chunks in float32 or wider.

    Args:
        logits: logits of all rows.
        needed: whether x, weight and bias need a gradient.
    """

    def __init__(self, logits: Logits, needed: Sequence[bool]) -> None:
        x, weight, bias = logits.x, logits.weight, logits.bias
        self.of_x = torch.empty_like(x) if needed[0] else None
        self.of_weight = torch.zeros_like(weight, dtype=_widen(weight.dtype)) if needed[1] else None
        self.of_bias = torch.zeros_like(bias, dtype=_widen(bias.dtype)) if bias is not None and needed[2] else None

    def add(self, of_logits: Tensor, part: Logits, start: int) -> None:
        """Adds the gradients of a chunk, given those of its logits ``[chunk, vocabulary]``."""
        if self.of_x is not None:
            self.of_x[start : start + len(of_logits)] = of_logits @ part.weight
        if self.of_weight is not None and self.of_weight.dtype == of_logits.dtype:
            self.of_weight.addmm_(of_logits.mT, part.x)
        elif self.of_weight is not None:
            self.of_weight += of_logits.mT @ part.x
        if self.of_bias is not None:
            self.of_bias += of_logits.sum(dim=0, dtype=self.of_bias.dtype)

    def list_tensors(self) -> list[Tensor | None]:
        """Lists the gradients of x, weight and bias; None where none is needed."""
        return [self.of_x, self.of_weight, self.of_bias]


def _differentiate_blocks(
    part: Logits, of_logits: Sequence[Tensor], targets: Tensor, compute: ComputeTerms
) -> Iterator[tuple[Tensor, ...]]:
    """Yields the terms of each block, and writes their gradients to ``of_logits``, of which the first has the logits.

    Args:
        part: logits of a chunk.
        of_logits: for each term ``[chunk, vocabulary]``.
        targets: ``[chunk]``.
        compute: computes the terms.
    """
    for wanted, *out in zip(*(torch.split(tensor, part.block) for tensor in (targets, *of_logits)), strict=True):
        with torch.enable_grad():
            logits = out[0].detach().requires_grad_()
            terms = compute(part.cap(logits), wanted)
            gradients = [torch.autograd.grad(term, logits, retain_graph=True)[0] for term in terms]
        for into, gradient in zip(out, gradients, strict=True):
            into.copy_(gradient)
        yield tuple(term.detach() for term in terms)


def _get_product_dtype(x: Tensor) -> torch.dtype:
    """Returns the dtype of matrix products with ``x``: under autocast, that of autocast."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def _widen(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)

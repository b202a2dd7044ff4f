"""The limit of a training step: its matrix products and attention alone, measured on the same machine.

With n tokens, a product ``[n, inputs] @ [inputs, outputs]`` costs three of its size: the output, and the gradients of
input and weight. All write into memory that is there already. Attention is the causal kernel of PyTorch, forward and
backward. Norms, activations, residual connections, the loss, clipping and the optimizer are not part of the limit, so
that no step reaches it:

    limit = time(products of all layers and the head) + time(attention of all layers)

In bfloat16, products and attention are of that type, and what mixed precision must move is added: every weight is read
in float32 and written in bfloat16, its gradient read in bfloat16 and written in float32, and so are the input and the
gradient of the input of every product:

    limit = … + (12 bytes * parameters in products + 12 bytes * n * sum of inputs of products) / bandwidth of a copy
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F

from experiments.speed.shapes import Shape

CAST = 12  # bytes: 4 read and 2 written one way, 2 read and 4 written the other


def list_products(family: str, shape: Shape) -> list[tuple[int, int]]:
    """Lists inputs and outputs of the matrix products of a model, the head last."""
    dim, hidden = shape.dim, shape.get_hidden(family)
    kv = dim if family == "gpt" else shape.kv_heads * dim // shape.heads
    ffn = [(dim, hidden), (hidden, dim)] if family == "gpt" else [(dim, hidden), (dim, hidden), (hidden, dim)]
    return [(dim, dim), (dim, kv), (dim, kv), (dim, dim), *ffn] * shape.layers + [(dim, shape.vocabulary)]


def make_limit(family: str, shape: Shape, dtype: torch.dtype = torch.float32) -> Callable[[], None]:
    """Makes a function that does the products and the attention of a training step and nothing else."""
    products = [_make_product(shape.tokens, *sizes, dtype) for sizes in list_products(family, shape)]
    attention = _make_attention(family, shape, dtype)

    def run() -> None:
        for product in products:
            product()
        for _ in range(shape.layers):
            attention()

    return run


def _make_product(tokens: int, inputs: int, outputs: int, dtype: torch.dtype) -> Callable[[], None]:
    x, weight, y = (torch.randn(size, dtype=dtype) for size in ((tokens, inputs), (outputs, inputs), (tokens, outputs)))
    out, x_gradient, weight_gradient = torch.empty_like(y), torch.empty_like(x), torch.empty_like(weight)

    def run() -> None:
        torch.mm(x, weight.T, out=out)
        torch.mm(y, weight, out=x_gradient)
        torch.mm(y.T, x, out=weight_gradient)

    return run


def _make_attention(family: str, shape: Shape, dtype: torch.dtype) -> Callable[[], None]:
    kv_heads = shape.heads if family == "gpt" else shape.kv_heads
    sizes = [
        (shape.batch, heads, shape.length, shape.dim // shape.heads) for heads in (shape.heads, kv_heads, kv_heads)
    ]
    q, k, v = (torch.randn(size, dtype=dtype, requires_grad=True) for size in sizes)
    gradient = torch.randn(sizes[0], dtype=dtype)

    def run() -> None:
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=kv_heads < shape.heads)
        torch.autograd.grad(out, (q, k, v), gradient)

    return run


def compute_cast_seconds(family: str, shape: Shape) -> float:
    """Computes the seconds that mixed precision needs to move weights, inputs and gradients, at best."""
    products = list_products(family, shape)
    weights = sum(inputs * outputs for inputs, outputs in products)
    moved = CAST * (weights + shape.tokens * sum(inputs for inputs, _ in products))
    return moved / measure_bandwidth()


def measure_bandwidth(size: int = 1 << 26) -> float:
    """Measures the bytes a second that a copy reads and writes."""
    source = torch.ones(size // 4)
    target, seconds = torch.empty_like(source), []
    for _ in range(7):
        begun = time.perf_counter()
        target.copy_(source)
        seconds.append(time.perf_counter() - begun)
    return 2 * size / statistics.median(seconds[1:])

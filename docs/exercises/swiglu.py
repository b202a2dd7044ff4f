"""Exercise 2: the feed-forward of Llama."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn

from zoo import FeedForward, OutputLinear, Tokens, register, require_positive


@final
@register("ffn", "exercise_swiglu", paper="arXiv:2002.05202")
class SwiGlu(FeedForward):
    """Gated feed-forward: computes w2(silu(w1(x)) * w3(x)).

    Args:
        dim: features per token.
        hidden: output features of w1 and w3.
    Raises:
        Refused: if ``hidden`` is not positive.
    Source: Shazeer 2020.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        require_positive("hidden", hidden)
        self.w1 = nn.Linear(dim, hidden, bias=False)
        self.w3 = nn.Linear(dim, hidden, bias=False)
        self.w2 = OutputLinear(hidden, dim, bias=False)

    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        """Maps ``[batch, length, dim]`` to the same shape."""
        raise NotImplementedError("exercise 2: the formula above")

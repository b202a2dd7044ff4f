"""Output head: logits over the vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, final

import torch
from torch import Tensor, nn

from zoo.checks import require
from zoo.model.activation import ACTIVATIONS, Activation
from zoo.model.embedding import Embedding
from zoo.model.interfaces import Norm
from zoo.model.logits import Logits
from zoo.model.parameter_roles import Role


@final
class Head(nn.Module):
    """Computes logits W map(x) + bias from hidden states x.

    Args:
        dim: features per token.
        embedding: embedding whose table is W if ``tied``.
        norm: constructor of the norm of the transform.
        scale: factor of W map(x); 1 unless the initialization requires another (μP).
        tied: whether W is the table of the embedding (Press and Wolf 2017, arXiv:1608.05859); if its width is not
            ``dim``, a linear projection precedes it.
        bias: whether each token has a learned bias.
        transform: whether map(x) is norm(activation(linear(x))) (BERT, arXiv:1810.04805), whose linear layer also
            projects to the width of the table (ALBERT, arXiv:1909.11942).
        transform_bias: whether the linear layer of the transform has a bias (ModernBERT, arXiv:2412.13663: no).
        activation: activation of the transform.
        scaled: whether W map(x) is divided by the square root of the width of W (T5, arXiv:1910.10683, which ties the
            table without scaling the embedding).
        softcap: logits become softcap * tanh(logits / softcap) (Gemma 2, arXiv:2408.00118); None is no cap.
    Raises:
        Refused: if an option of the transform is set without ``transform``, or ``softcap`` is not positive.
    """

    roles: ClassVar[Mapping[str, Role]] = {"weight": "table"}  # a row for each token, tied or not

    def __init__(
        self,
        dim: int,
        embedding: Embedding,
        norm: Callable[[int], Norm],
        scale: float = 1.0,
        *,
        tied: bool = True,
        bias: bool = False,
        transform: bool = False,
        transform_bias: bool = True,
        activation: Activation = "gelu",
        scaled: bool = False,
        softcap: float | None = None,
    ) -> None:
        super().__init__()
        require(transform or activation == "gelu", f"activation needs transform=True: got activation={activation}")
        require(transform or transform_bias, "transform_bias needs transform=True: got transform_bias=False")
        require(softcap is None or softcap > 0, f"softcap must be positive: got softcap={softcap}")
        vocabulary, width = embedding.table.num_embeddings, embedding.width if tied else dim
        self.weight = embedding.table.weight if tied else nn.Parameter(torch.empty(vocabulary, width))
        self.bias = nn.Parameter(torch.zeros(vocabulary)) if bias else None
        self.map = nn.Linear(dim, width, bias=transform and transform_bias) if transform or width != dim else None
        self.norm = norm(width) if transform else None
        self.scale = scale * (width**-0.5 if scaled else 1.0)
        self.activation, self.softcap = ACTIVATIONS[activation], softcap

    def forward(self, x: Tensor) -> Tensor:
        """Computes logits ``[…, vocabulary]`` of hidden states ``[…, dim]``."""
        return self.defer(x).materialize()

    def defer(self, x: Tensor) -> Logits:
        """Returns the logits of hidden states ``[…, dim]`` before the product with W, the bulk of their cost."""
        if self.map is not None:
            x = self.map(x)
        if self.norm is not None:
            x = self.norm(self.activation(x))
        return Logits(x if self.scale == 1.0 else x * self.scale, self.weight, self.bias, self.softcap)

    def flops(self, length: int) -> int:
        """Counts forward operations for ``length`` tokens."""
        return 2 * length * (self.weight.numel() + (0 if self.map is None else self.map.weight.numel()))

    if TYPE_CHECKING:
        __call__ = forward

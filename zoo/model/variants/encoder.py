"""The encoder: a stack that sees both ways, as in BERT."""

from __future__ import annotations

from typing import ClassVar, final

import torch
from torch import Tensor, nn

from zoo.checks import Refused
from zoo.model.embedding import Embedding
from zoo.model.head import Head
from zoo.model.stack import Stack
from zoo.model.variants.single import SingleStack


@final
class Encoder(SingleStack):
    """One stack whose tokens see each other (Devlin et al. 2018, arXiv:1810.04805).

    Args:
        embedding: tokens to vectors.
        stack: its layers.
        head: hidden states to logits, or None.
        pooler: maps the first token's hidden state to a vector for the whole row (BERT), or None. It has no part in
            logits, and so no gradient from them.
    """

    name: ClassVar[str] = "encoder"
    default_objectives: ClassVar[dict[str, str]] = {"documents": "masked_lm", "pairs": "masked_lm"}

    def __init__(self, embedding: Embedding, stack: Stack, head: Head | None, pooler: nn.Linear | None = None) -> None:
        super().__init__(embedding, stack, head)
        self.pooler = pooler

    def pool(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Tokens ``[batch, length]`` to one vector for each row: ``[batch, dim]``.

        It is made from the first token that is not padding.

        Raises:
            Refused: if the model has no pooler.
        """
        if self.pooler is None:
            raise Refused("a model with model.pooler=false pools nothing: average its hidden_states instead")
        hidden = self.hidden_states(tokens, attention_mask)
        first = 0 if attention_mask is None else attention_mask.long().argmax(dim=1)
        return torch.tanh(self.pooler(hidden[torch.arange(len(hidden), device=hidden.device), first]))

"""Encoder with a bidirectional stack, as in BERT."""

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
    """Model with one bidirectional stack (Devlin et al. 2018, arXiv:1810.04805).

    Args:
        embedding: token embedding.
        stack: bidirectional layers.
        head: output head, or None.
        pooler: linear layer on the first token's hidden state, which represents the whole row (BERT), or None. Logits
            do not depend on it.
    """

    name: ClassVar[str] = "encoder"
    default_objectives: ClassVar[dict[str, str]] = {"documents": "masked_lm", "pairs": "masked_lm"}

    def __init__(self, embedding: Embedding, stack: Stack, head: Head | None, pooler: nn.Linear | None = None) -> None:
        super().__init__(embedding, stack, head)
        self.pooler = pooler

    def pool(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Computes one vector for each row, ``[batch, dim]``, from the first token that is not padding.

        Args:
            tokens: token ids ``[batch, length]``.
            attention_mask: 1 for tokens and 0 for padding ``[batch, length]``; None: no padding.
        Raises:
            Refused: if the model has no pooler.
        """
        if self.pooler is None:
            raise Refused("pool needs a model with model.pooler=true: got model.pooler=false")
        hidden = self.hidden_states(tokens, attention_mask)
        first = 0 if attention_mask is None else attention_mask.long().argmax(dim=1)
        return torch.tanh(self.pooler(hidden[torch.arange(len(hidden), device=hidden.device), first]))

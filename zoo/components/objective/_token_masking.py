"""Token masking as in BERT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from zoo.checks import require_between
from zoo.components.objective._rows import draw_uniform
from zoo.data.interfaces import Vocabulary


@final
class TokenMasking:
    """Selects tokens to predict, and replaces 80 % of them by the mask token and 10 % by a random token.

    Args:
        vocabulary: size of the vocabulary and ids of its special tokens, which are neither selected nor drawn.
        rate: fraction of the tokens of a row to select; at least one token per row.
    Source: Devlin et al. 2018.
    """

    def __init__(self, vocabulary: Vocabulary, rate: float) -> None:
        require_between("rate", rate, 0.01, 0.99)
        special = set(vocabulary.reserved_ids)
        self.writable = torch.tensor([i for i in range(vocabulary.size) if i not in special])
        self.mask, self.rate = vocabulary.mask, rate

    def select(self, tokens: Tensor, real: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Selects among the ``real`` tokens of ``[batch, length]`` that are not special; True where selected."""
        candidates = real & torch.isin(tokens, self.writable)
        draw = draw_uniform(tokens.shape[1], generators).masked_fill(~candidates, 2.0)
        return (draw < self.rate) | ((draw == draw.min(dim=1, keepdim=True).values) & candidates)

    def replace(self, tokens: Tensor, selected: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """Returns ``tokens``, ``[batch, length]``, with most of the ``selected`` ones replaced."""
        action, choice = draw_uniform(tokens.shape[1], generators), draw_uniform(tokens.shape[1], generators)
        random = self.writable[(choice * len(self.writable)).long().clamp(max=len(self.writable) - 1)]
        masked = torch.where(selected & (action < 0.8), self.mask, tokens)
        return torch.where(selected & (action >= 0.9), random, masked)

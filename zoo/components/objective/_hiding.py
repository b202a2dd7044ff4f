"""Tokens hidden from a model, as in BERT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from zoo.checks import require_between
from zoo.components.objective._rows import uniform
from zoo.data.interfaces import Vocabulary


@final
class Hiding:
    """Chooses tokens of a text, and hides them: 80 % become mask, 10 % a random token and 10 % stay.

    Args:
        vocabulary: knows mask, and which tokens texts are made of.
        rate: share of a text's tokens that are chosen; at least one a row.
    Source: Devlin et al. 2018.
    """

    def __init__(self, vocabulary: Vocabulary, rate: float) -> None:
        require_between("rate", rate, 0.01, 0.99)
        special = set(vocabulary.reserved_ids)
        self.writable = torch.tensor([i for i in range(vocabulary.size) if i not in special])
        self.mask, self.rate = vocabulary.mask, rate

    def choose(self, tokens: Tensor, real: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """True where one of the tokens ``[batch, length]`` is chosen; only ``real`` ones that text is made of are."""
        hideable = real & torch.isin(tokens, self.writable)
        draw = uniform(tokens.shape[1], generators).masked_fill(~hideable, 2.0)
        return (draw < self.rate) | ((draw == draw.min(dim=1, keepdim=True).values) & hideable)

    def hide(self, tokens: Tensor, chosen: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        """What is read in place of the tokens."""
        fate, word = uniform(tokens.shape[1], generators), uniform(tokens.shape[1], generators)
        random = self.writable[(word * len(self.writable)).long().clamp(max=len(self.writable) - 1)]
        read = torch.where(chosen & (fate < 0.8), self.mask, tokens)
        return torch.where(chosen & (fate >= 0.9), random, read)

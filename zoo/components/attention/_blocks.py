"""Blocks of tokens: where they end, their summaries, and the mask over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.model.mask import Mask, Tokens


@dataclass(frozen=True)
class Blocks:
    """Complete blocks of packed rows, in order; tensors have space for ``length // block`` blocks.

    Args:
        end: column of the last token of each block, ``[batch or 1, blocks]``; -1 where a row has fewer blocks.
        index: block of each token, ``[batch or 1, length]``; the number of blocks for tokens outside of any block.
    """

    end: Tensor
    index: Tensor

    @classmethod
    def from_tokens(cls, tokens: Tokens, block: int) -> Blocks:
        """Finds the blocks of ``block`` tokens, counted from the start of each document.

        A block whose tokens are not all in the row, for instance because a cache has dropped some, is left out.
        """
        position, count = tokens.position, tokens.length // block
        column = torch.arange(tokens.length, device=position.device)
        first = (column - block + 1).clamp(min=0)
        # True at the last token of a block: the first one is block - 1 columns before it, in the same document.
        is_last = (position % block == block - 1) & (position[:, first] == position - block + 1) & (column >= block - 1)
        if (segment := tokens.segment) is not None:
            is_last = is_last & (segment >= 0) & (segment[:, first] == segment)
        # A stable sort moves the last tokens to the front, in order: [batch or 1, blocks].
        end = is_last.int().argsort(dim=1, descending=True, stable=True)[:, :count]
        end = torch.where(is_last.gather(1, end), end, -1)
        # The block of a token is the first that ends at or after it, if that end is less than block tokens away.
        index = is_last.cumsum(dim=1) - is_last.long()
        distance = F.pad(end, (0, 1), value=-1).gather(1, index.clamp(max=count)) - column
        return cls(end, torch.where((distance >= 0) & (distance < block), index, count))

    def mask(self, mask: Mask) -> tuple[Mask, Tensor]:
        """Derives the mask over blocks from that over tokens; a block has the position of its last token.

        Returns:
            the mask with blocks as keys, and which blocks each query sees, bool ``[batch or 1, query, blocks]``: those
            whose last token it sees.
        """
        end, rows = self.end.clamp(min=0), len(self.end)
        position = mask.key.position.expand(rows, -1).gather(1, end)
        visible = mask.materialize().expand(rows, -1, -1).gather(2, end[:, None].expand(-1, mask.query.length, -1))
        key = Tokens(torch.arange(end.shape[1], device=end.device), position)
        return Mask(Tokens(mask.query.index, mask.query.position), key), visible & (self.end >= 0)[:, None]


@final
class Summary(nn.Module):
    """Summary of each block: a two-layer perceptron with GELU over the concatenated vectors of its tokens.

    Args:
        block: tokens in a block.
        width: features of a vector.
    """

    def __init__(self, block: int, width: int) -> None:
        super().__init__()
        self.block = block
        self.up, self.down = nn.Linear(block * width, width), nn.Linear(width, width)

    def forward(self, x: Tensor, blocks: Blocks) -> Tensor:
        """Maps ``[batch, heads, length, width]`` to ``[batch, heads, blocks, width]``."""
        # The columns of the tokens of each block, [batch or 1, blocks, block].
        columns = blocks.end[:, :, None] + torch.arange(1 - self.block, 1, device=x.device)
        rows = torch.arange(len(x), device=x.device)[:, None, None]
        # Indexing gives [batch, blocks, block, heads, width]; flattened: [batch, heads, blocks, block * width].
        tokens = x[rows, :, columns.clamp(min=0)].permute(0, 3, 1, 2, 4).flatten(3)
        out: Tensor = self.down(F.gelu(self.up(tokens)))
        return out

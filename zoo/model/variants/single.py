"""Base class of decoder and encoder, which have one stack."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from zoo.model.embedding import Embedding
from zoo.model.head import Head
from zoo.model.inputs import Inputs
from zoo.model.stack import LayerCache, Stack, build_tokens
from zoo.model.variants.variant import Variant


class SingleStack(Variant):
    """Model with one stack."""

    def __init__(self, embedding: Embedding, stack: Stack, head: Head | None) -> None:
        super().__init__()
        self.embedding, self.stack, self.head = embedding, stack, head

    def forward(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Computes logits ``[batch, length, vocabulary]``.

        Args:
            tokens: token ids ``[batch, length]``.
            attention_mask: 1 for tokens and 0 for padding, left or right ``[batch, length]``; None: no padding.
        """
        return self.logits(self.hidden_states(tokens, attention_mask))

    def hidden_states(self, tokens: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Computes the last hidden states ``[batch, length, dim]``; arguments are those of ``forward``."""
        return self.compute_hidden(Inputs(tokens, None if attention_mask is None else attention_mask.long() - 1))

    def get_stacks(self) -> dict[str, Stack]:
        """Returns the only stack, under the name of the variant."""
        return {self.name: self.stack}

    @property
    def reader(self) -> Stack:
        """The only stack."""
        return self.stack

    def compute_hidden(self, inputs: Inputs, caches: Sequence[LayerCache] | None = None) -> Tensor:
        """Computes the last hidden states ``[batch, length, dim]``."""
        ids = inputs.tokens
        tokens = build_tokens(ids.shape[1], inputs.start, inputs.position, inputs.segment, ids.device)
        return self.stack(self.embedding(ids, inputs.token_type), tokens, inputs.prefix, caches=caches)

    def flops(self, length: int, source: int) -> int:
        """Counts forward operations for one row of ``length`` tokens; ``source`` is ignored."""
        return self.stack.flops(length) + (0 if self.head is None else self.head.flops(length))

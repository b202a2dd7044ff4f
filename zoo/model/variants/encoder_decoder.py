"""Encoder-decoder: a bidirectional stack, and a causal stack that attends to its output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from torch import Tensor

from zoo.checks import Refused
from zoo.model.embedding import Embedding
from zoo.model.head import Head
from zoo.model.inputs import Inputs
from zoo.model.mask import Tokens
from zoo.model.stack import LayerCache, Stack, build_tokens
from zoo.model.variants.variant import Variant


@final
class EncoderDecoder(Variant):
    """Model with an encoder and a decoder (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        embedding: token embedding of the decoder, and of the encoder if ``source_embedding`` is None.
        encoder: bidirectional layers.
        decoder: causal layers with cross-attention.
        head: output head, or None.
        source_embedding: token embedding of the encoder, or None.
    """

    name: ClassVar[str] = "encoder_decoder"
    default_objectives: ClassVar[dict[str, str]] = {"documents": "span_corruption", "pairs": "seq2seq"}

    def __init__(
        self,
        embedding: Embedding,
        encoder: Stack,
        decoder: Stack,
        head: Head | None,
        source_embedding: Embedding | None,
    ) -> None:
        super().__init__()
        self.embedding, self.encoder, self.decoder, self.head = embedding, encoder, decoder, head
        self.source_embedding = source_embedding

    def forward(
        self,
        source: Tensor,
        target: Tensor,
        attention_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
    ) -> Tensor:
        """Computes logits ``[batch, length, vocabulary]``.

        Args:
            source: token ids of the encoder ``[batch, source]``.
            target: token ids of the decoder ``[batch, length]``.
            attention_mask: 1 for tokens and 0 for padding of the source ``[batch, source]``; None: no padding.
            target_mask: 1 for tokens and 0 for padding of the target ``[batch, length]``; None: no padding.
        """
        return self.logits(self.hidden_states(source, target, attention_mask, target_mask))

    def hidden_states(
        self,
        source: Tensor,
        target: Tensor,
        attention_mask: Tensor | None = None,
        target_mask: Tensor | None = None,
    ) -> Tensor:
        """Computes the last hidden states of the decoder ``[batch, length, dim]``, as ``forward`` does."""
        segments = [None if mask is None else mask.long() - 1 for mask in (target_mask, attention_mask)]
        return self.compute_hidden(Inputs(target, segments[0], source=source, source_segment=segments[1]))

    def get_stacks(self) -> dict[str, Stack]:
        """Returns encoder and decoder by name."""
        return {"encoder": self.encoder, "decoder": self.decoder}

    @property
    def reader(self) -> Stack:
        """The decoder."""
        return self.decoder

    def compute_hidden(self, inputs: Inputs, caches: Sequence[LayerCache] | None = None) -> Tensor:
        """Computes the last hidden states of the decoder ``[batch, length, dim]``.

        With caches, only the first step reads ``inputs.source``; later ones attend to the cached source.
        """
        ids = inputs.tokens
        memory, memory_tokens = self._encode(inputs, caches is not None and inputs.start > 0)
        tokens = build_tokens(ids.shape[1], inputs.start, inputs.position, inputs.segment, ids.device)
        return self.decoder(
            self.embedding(ids, inputs.token_type), tokens, inputs.prefix, memory, memory_tokens, caches
        )

    def _encode(self, inputs: Inputs, remembered: bool) -> tuple[Tensor, Tokens]:
        if remembered:
            nothing = self.embedding.table.weight.new_empty(len(inputs.tokens), 0, self.embedding.dim)
            return nothing, Tokens.from_length(0, device=inputs.tokens.device)
        if inputs.source is None:
            raise Refused("an encoder_decoder needs a source and a target: got no source")
        source = inputs.source
        tokens = build_tokens(source.shape[1], 0, inputs.source_position, inputs.source_segment, source.device)
        embedding = self.embedding if self.source_embedding is None else self.source_embedding
        return self.encoder(embedding(source), tokens), tokens

    def flops(self, length: int, source: int) -> int:
        """Counts forward operations for one pair with ``source`` and ``length`` tokens."""
        head = 0 if self.head is None else self.head.flops(length)
        return self.encoder.flops(source) + self.decoder.flops(length, source) + head

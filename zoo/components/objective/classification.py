"""Classification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from zoo.checks import Refused, require
from zoo.components.objective._rows import build_segments, join_pairs
from zoo.data.batch import Batch, PairBatch
from zoo.data.interfaces import Vocabulary
from zoo.model.inputs import Inputs
from zoo.model.objective import LanguageModel, Objective, View
from zoo.model.parameter_roles import Role
from zoo.registry import register


@final
@register("objective", "classification", paper="arXiv:1810.04805")
class Classification(Objective):
    """Classify a source with a linear layer on a pooled hidden state; the target of a pair is one token, the class.

    The model reads ``bos source sep``, without the target. The language-modeling head of the model is not used.

    The loss is the mean of ``-log softmax(W h + b)[y]`` over the pairs, with pooled hidden state h and class y.

    Args:
        dim: features per token.
        vocabulary: size of the vocabulary and ids of its special tokens; classes are tokens.
        variant: variant of the model.
        pool: hidden state to classify: that of the first token (bos), of the last token (sep), or the mean of all.
        label_smoothing: probability mass of a target that is spread uniformly over the vocabulary, in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    Raises:
        Refused: if ``pool`` is ``first`` for a decoder, whose first token attends only to itself.
    Source: Devlin et al. 2018 (``first``); Radford et al. 2018 (``last``).
    """

    roles: ClassVar[Mapping[str, Role]] = {"classes.weight": "readout"}
    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("encoder", "pairs"), ("decoder", "pairs")})
    reason: ClassVar[str] = "it needs a single stack that reads the source, and a target that is its class"
    uses_head: ClassVar[bool] = False
    one_token_targets: ClassVar[bool] = True

    def __init__(
        self,
        dim: int,
        vocabulary: Vocabulary,
        variant: str,
        *,
        pool: Literal["first", "last", "mean"] = "last",
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
    ) -> None:
        super().__init__(dim, vocabulary, variant, label_smoothing, z_loss)
        require(
            pool != "first" or variant != "decoder",
            "pool must not be first for a decoder, whose first token does not attend to the source: got pool=first",
        )
        self.pool = pool
        self.classes = nn.Linear(dim, vocabulary.size)

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Builds the view, which has no randomness.

        Raises:
            Refused: if a target is not one token.
        """
        if not isinstance(batch, PairBatch):
            raise TypeError("classification takes pairs")
        if invalid := [length - 1 for length in batch.target_length.tolist() if length != 2]:
            raise Refused(f"classification needs targets of one token, the class: got a target of {invalid[0]} tokens")
        row, before, _ = join_pairs(batch, self.vocabulary)
        tokens = row[:, : int(before.max())]
        segment = build_segments(before, tokens.shape[1])
        tokens = tokens.masked_fill(segment < 0, self.vocabulary.pad)
        valid = torch.arange(tokens.shape[1])[None] == before[:, None] - 1
        targets = torch.where(valid, batch.target[:, :1], self.vocabulary.pad)
        return View(Inputs(tokens, segment), targets, valid)

    def predict(self, model: LanguageModel, view: View) -> tuple[Tensor, Tensor]:
        """Returns logits ``[rows, vocabulary]`` and targets ``[rows]`` of the rows that have a target."""
        asked = view.valid.any(dim=1)
        pooled = self._pool(model.compute_hidden(view.inputs), view)
        return self.classes(pooled[asked]), view.targets[view.valid]

    def _pool(self, hidden: Tensor, view: View) -> Tensor:
        """Pools ``[batch, length, dim]`` to ``[batch, dim]``."""
        if self.pool == "first":
            return hidden[:, 0]
        segment = view.inputs.segment
        if segment is None:
            return hidden[:, -1] if self.pool == "last" else hidden.mean(dim=1)
        real = segment >= 0
        if self.pool == "last":
            return hidden[torch.arange(len(hidden), device=hidden.device), real.sum(dim=1) - 1]
        return (hidden * real[..., None]).sum(dim=1) / real.sum(dim=1, keepdim=True)

    @torch.no_grad()
    def generate_targets(self, model: LanguageModel, batch: PairBatch) -> list[list[int]]:
        """Returns the most likely class of each source."""
        view = self.prepare(batch, ()).to(self.classes.weight.device)
        return [[token] for token in self.predict(model, view)[0].argmax(dim=-1).tolist()]

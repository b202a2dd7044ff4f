"""Base class of objectives whose only options are those of the loss."""

from __future__ import annotations

from zoo.data.interfaces import Vocabulary
from zoo.model.objective import Objective


class TokenPrediction(Objective):
    """Base of objectives that are trained with the cross-entropy of predicted tokens and have no other options.

    Args:
        dim: features per token.
        vocabulary: size of the vocabulary and ids of its special tokens.
        variant: variant of the model.
        label_smoothing: probability mass of a target that is spread uniformly over the vocabulary, in training.
        z_loss: weight of the mean of logsumexp(logits)² (PaLM, arXiv:2204.02311), in training.
    """

    def __init__(
        self, dim: int, vocabulary: Vocabulary, variant: str, *, label_smoothing: float = 0.0, z_loss: float = 0.0
    ) -> None:
        super().__init__(dim, vocabulary, variant, label_smoothing, z_loss)

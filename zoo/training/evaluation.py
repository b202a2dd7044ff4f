"""Metrics on the validation split, accumulated over batches and processes by torchmetrics."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import CatMetric, MeanMetric, SumMetric
from torchmetrics.classification import MulticlassAccuracy

from zoo.model.logits import Logits, split_logits
from zoo.model.objective import Objective, View


class Evaluation(nn.Module):
    """Metrics of one pass over a split.

    ``loss`` is the mean cross-entropy per predicted token in nats, without label smoothing; ``perplexity`` is its
    exponential. For pairs, ``target_nll`` is the cross-entropy of a whole target in nats, and ``exact_match`` the share
    of targets whose tokens are all the likeliest ones, which equals that of greedy decoding. For objectives that
    predict every token of a text, ``bits_per_byte`` is comparable between tokenizers.

    Args:
        objective: the training objective.
        form: documents or pairs.
        vocabulary: number of tokens.
        size: UTF-8 bytes of the texts of the split; 0 if the tokenizer is lossy, because bits per byte would then count
            bytes that were not predicted.

    Attributes:
        by_length: exact match of the last pass by source length in tokens, for pairs whose sources differ in length.
    """

    def __init__(self, objective: Objective, form: str, vocabulary: int, size: int) -> None:
        super().__init__()
        self.pairs = form == "pairs"
        self.size = size if objective.models_text and not self.pairs else 0
        self.accuracy_name = "token_accuracy" if self.pairs else objective.accuracy
        # By default torchmetrics drops NaN from sums, which would make a diverged run look best.
        self.total, self.count = SumMetric(nan_strategy="disable"), SumMetric(nan_strategy="disable")
        self.total.set_dtype(torch.float64)
        self.accuracy = MulticlassAccuracy(num_classes=vocabulary, average="micro")
        self.exact_match, self.target_nll = MeanMetric(nan_strategy="disable"), MeanMetric(nan_strategy="disable")
        self.right, self.lengths = CatMetric(nan_strategy="disable"), CatMetric(nan_strategy="disable")
        self.by_length: dict[str, dict[str, float]] = {}

    def update(self, logits: Tensor | Logits, targets: Tensor, view: View) -> None:
        """Accumulates the metrics of a batch.

        Args:
            logits: ``[predicted, classes]``, of the valid positions of ``view`` in row-major order, all or deferred.
            targets: ``[predicted]``.
            view: the batch.
        """
        if len(targets) == 0:
            return
        scores = (_score(*part) for part in split_logits(logits, targets))
        nll, best = (torch.cat(parts) for parts in zip(*scores, strict=True))
        self.total.update(nll.sum())
        self.count.update(len(targets))
        self.accuracy.update(best, targets)  # logits may have fewer classes than tokens
        if self.pairs:
            row = view.valid.nonzero()[:, 0]
            rows = len(view.valid)
            wrong = torch.zeros(rows, device=nll.device, dtype=torch.float32).index_add_(
                0, row, (best != targets).float()
            )
            self.exact_match.update((wrong == 0).float())
            if view.source_length is not None:
                self.right.update((wrong == 0).float())
                self.lengths.update(view.source_length.float())
            self.target_nll.update(torch.zeros(rows, device=nll.device).double().index_add_(0, row, nll).float())

    def compute(self) -> dict[str, float]:
        """Computes all metrics by name, and resets them."""
        total, count = float(self.total.compute()), float(self.count.compute())
        loss = total / max(1.0, count)
        metrics = {"loss": loss, "perplexity": float(torch.tensor(loss, dtype=torch.float64).exp())}  # overflows to inf
        metrics[self.accuracy_name] = float(self.accuracy.compute())
        if self.size:
            metrics["bits_per_byte"] = total / math.log(2) / self.size
        if self.pairs:
            metrics["exact_match"] = float(self.exact_match.compute())
            metrics["target_nll"] = float(self.target_nll.compute())
            self.by_length = _compute_by_length(self.lengths, self.right)
        for metric in self.children():
            metric.reset()  # type: ignore[operator]
        return metrics


def _score(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the cross-entropy in float64 ``[predicted]`` and the most likely class ``[predicted]``."""
    logits = logits.float()
    return F.cross_entropy(logits, targets, reduction="none").double(), logits.argmax(dim=-1)


def _compute_by_length(lengths: CatMetric, right: CatMetric) -> dict[str, dict[str, float]]:
    """Computes exact match and number of rows by source length; empty if all sources have the same length."""
    if not lengths.update_called:
        return {}
    known, of_row = torch.unique(torch.as_tensor(lengths.compute()).reshape(-1), return_inverse=True)
    rows = torch.bincount(of_row).tolist()
    hits = torch.bincount(of_row, weights=torch.as_tensor(right.compute()).reshape(-1).double()).tolist()
    return {
        str(int(length)): {"exact_match": hit / count, "rows": count}
        for length, hit, count in zip(known.tolist(), hits, rows, strict=True)
        if len(rows) > 1
    }

"""Replaced-token detection."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.checks import require_divides, require_even, require_positive
from zoo.components.objective._rows import draw_uniform
from zoo.components.objective._token_masking import TokenMasking
from zoo.data.batch import Batch, DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model.inputs import Inputs
from zoo.model.logits import Logits, split_logits, sum_terms
from zoo.model.objective import LanguageModel, Objective, View
from zoo.model.parameter_roles import Role
from zoo.registry import register


@dataclass(frozen=True)
class Generator:
    """Options of the generator, a small encoder that is trained together with the model but is not part of it.

    Args:
        dim: features per token.
        layers: number of layers.
        heads: number of heads per layer; divides ``dim``.
    """

    dim: int = 64
    layers: int = 2
    heads: int = 2

    def __post_init__(self) -> None:
        for name in ("dim", "layers"):
            require_positive(f"generator.{name}", getattr(self, name))
        require_even("generator.dim", self.dim)
        require_divides("generator.heads", self.heads, "generator.dim", self.dim)


@final
@register("objective", "replaced_token", paper="arXiv:2003.10555")
class ReplacedToken(Objective):
    """Predict for each token whether it was replaced by a small generator that fills in masked tokens (ELECTRA).

    The generator is trained with masked language modeling; replacements are sampled from its distribution, without a
    gradient. A sampled token that equals the original counts as original.

    The loss is the mean of ``-log g(x[t] | x')`` over the masked tokens, where g is the generator and x' the masked
    row, plus ``weight`` times the mean of ``-log d(r[t] | x'')`` over all tokens, where x'' is the row with
    replacements, d the model, and r[t] says whether token t was replaced. The metrics are those of the two classes.

    Args:
        dim: features per token.
        vocabulary: size of the vocabulary and ids of its special tokens.
        variant: variant of the model.
        rate: fraction of the tokens of a row to mask; at least one token per row.
        weight: weight of the model's own term in the loss.
        generator: size of the generator.
    Source: Clark et al. 2020.
    """

    roles: ClassVar[Mapping[str, Role]] = {"score.weight": "readout"}
    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("encoder", "documents")})
    reason: ClassVar[str] = "it needs documents, and a single stack with bidirectional attention"
    accuracy: ClassVar[str] = "replaced_accuracy"
    uses_head: ClassVar[bool] = False

    def __init__(
        self,
        dim: int,
        vocabulary: Vocabulary,
        variant: str,
        *,
        rate: float = 0.15,
        weight: float = 50.0,
        generator: Generator = Generator(),
    ) -> None:
        super().__init__(dim, vocabulary, variant)
        require_positive("weight", weight)
        self.masking, self.weight = TokenMasking(vocabulary, rate), weight
        self.generator = _GeneratorModel(vocabulary.size, generator)
        self.score = nn.Linear(dim, 1)

    def get_required_tokens(self, form: str, length: int) -> Required:
        """Returns mask."""
        return Required(mask=True)

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Draws the tokens to mask, and a uniform number for each token from which its replacement is sampled."""
        if not isinstance(batch, DocumentBatch):
            raise TypeError("replaced_token takes documents")
        tokens, segment = batch.tokens[:, :-1], batch.segment[:, :-1]
        chosen = self.masking.select(tokens, segment >= 0, generators)
        numbers = draw_uniform(tokens.shape[1], generators)
        inputs = Inputs(tokens.masked_fill(chosen, self.vocabulary.mask), segment, batch.position[:, :-1])
        return View(inputs, tokens, segment >= 0, {"chosen": chosen, "uniform": numbers})

    def predict(self, model: LanguageModel, view: View) -> tuple[Tensor, Tensor]:
        """Returns logits ``[tokens, 2]`` and targets ``[tokens]`` of all tokens but padding; class 1 is replaced."""
        return self._detect(model, view, self._propose(view))

    def loss(self, model: LanguageModel, view: View) -> dict[str, Tensor]:
        """Returns the cross-entropy of the generator, and the weighted cross-entropy of the two classes."""
        proposed = self._propose(view)
        asked = (view.extra["chosen"] & view.valid)[view.extra["chosen"]]
        originals = view.targets[view.extra["chosen"]]
        (generator,) = sum_terms(proposed[asked], originals[asked], _sum_cross_entropy)
        logits, replaced = self._detect(model, view, proposed)
        (total,) = _sum_cross_entropy(logits, replaced)
        return {
            "generator": generator / asked.sum().clamp(min=1),
            "discriminator": self.weight * total / max(1, len(replaced)),
        }

    def count_terms(self, view: View) -> dict[str, int]:
        """Counts the masked tokens, and all tokens but padding."""
        masked = view.extra["chosen"] & view.valid
        return {"generator": int(masked.sum()), "discriminator": int(view.valid.sum())}

    def _propose(self, view: View) -> Tensor | Logits:
        """Returns the logits ``[masked, vocabulary]`` of the generator at the masked places."""
        logits: Logits = self.generator(view.inputs, view.extra["chosen"])
        return logits.simplify()

    def _detect(self, model: LanguageModel, view: View, proposed: Tensor | Logits) -> tuple[Tensor, Tensor]:
        tokens = view.targets.clone()
        with torch.no_grad():
            parts = split_logits(proposed, view.extra["uniform"][view.extra["chosen"]])
            tokens[view.extra["chosen"]] = torch.cat([_sample_tokens(*part) for part in parts])
        score = self.score(view.select_valid(model.compute_hidden(replace(view.inputs, tokens=tokens))))
        # The softmax of two logits, one of them zero, is the sigmoid of the other.
        return torch.cat([torch.zeros_like(score), score], dim=-1), view.select_valid(tokens != view.targets).long()


def _sum_cross_entropy(logits: Tensor, targets: Tensor) -> tuple[Tensor]:
    return (F.cross_entropy(logits.float(), targets, reduction="sum"),)


def _sample_tokens(logits: Tensor, uniform: Tensor) -> Tensor:
    """Samples tokens ``[n]`` from logits ``[n, vocabulary]`` by inverting the distribution at ``uniform``, ``[n]``."""
    sums = logits.double().softmax(dim=-1).cumsum(dim=-1)
    at = torch.searchsorted(sums, uniform.double()[:, None] * sums[:, -1:], right=True)
    return at[:, 0].clamp(max=logits.shape[-1] - 1)


class _GeneratorModel(nn.Module):
    """Encoder of torch on packed documents, with sinusoidal position encoding and a tied head."""

    def __init__(self, vocabulary: int, options: Generator) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, options.dim)
        nn.init.normal_(self.table.weight, std=options.dim**-0.5)
        layer = nn.TransformerEncoderLayer(
            options.dim, options.heads, 4 * options.dim, 0.0, "gelu", batch_first=True, norm_first=True
        )
        norm = nn.LayerNorm(options.dim)
        self.layers = nn.TransformerEncoder(layer, options.layers, norm, enable_nested_tensor=False)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.heads = options.heads

    def forward(self, inputs: Inputs, asked: Tensor) -> Logits:
        """Returns logits ``[asked, vocabulary]`` at the places where ``asked``, ``[batch, length]``, is True."""
        dim, position = self.table.embedding_dim, inputs.position
        if position is None:
            position = torch.arange(inputs.tokens.shape[1], device=inputs.tokens.device)[None]
        x = self.table(inputs.tokens) * math.sqrt(dim)
        x = x + _encode_positions(position, dim).to(x.dtype)
        masked = None
        if inputs.segment is not None:
            # Padding attends to padding, so that no row of the mask is empty.
            masked = inputs.segment[:, :, None] != inputs.segment[:, None, :]
            masked = masked.repeat_interleave(self.heads, dim=0)
        y = self.layers(x, masked)
        return Logits(y[asked], self.table.weight, self.bias)


def _encode_positions(positions: Tensor, dim: int) -> Tensor:
    """Returns the sinusoidal encoding ``[batch, length, dim]`` (Vaswani et al. 2017), sines before cosines."""
    rate = torch.exp(torch.arange(dim // 2, device=positions.device) * (-math.log(10000.0) * 2 / dim))
    angle = positions[..., None] * rate
    return torch.cat([angle.sin(), angle.cos()], dim=-1)

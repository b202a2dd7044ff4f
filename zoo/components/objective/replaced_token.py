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
from zoo.components.objective._hiding import Hiding
from zoo.components.objective._rows import uniform
from zoo.data.batch import Batch, DocumentBatch
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import Required
from zoo.model.interfaces import Inputs, LanguageModel, Objective, View
from zoo.model.parameter_roles import Role
from zoo.registry import register


@dataclass(frozen=True)
class Generator:
    """The small encoder that proposes tokens; it is trained with the model, and is no part of it.

    Args:
        dim: features per token.
        layers: how many.
        heads: of each layer; divides ``dim``.
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
    """Say of each token whether a small generator, which fills masks in, has put it there.

    The generator learns masked language modeling; what it proposes is drawn from its distribution and passes on no
    gradient. A proposal that is the original token counts as original. The loss is that of the generator plus
    ``weight`` times the binary cross-entropy of all real tokens. The metrics are those of the two classes.

    Args:
        dim: features per token.
        vocabulary: size and special tokens.
        variant: what reads.
        rate: share of a row's tokens that are masked; at least one a row.
        weight: of the model's own term.
        generator: dim, layers and heads of the generator.
    Source: Clark et al. 2020.
    """

    roles: ClassVar[Mapping[str, Role]] = {"score.weight": "readout"}
    combines: ClassVar[frozenset[tuple[str, str]]] = frozenset({("encoder", "documents")})
    reason: ClassVar[str] = "it needs documents, and one stack whose tokens see both ways"
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
        self.hiding, self.weight = Hiding(vocabulary, rate), weight
        self.generator = _Proposals(vocabulary.size, generator)
        self.score = nn.Linear(dim, 1)

    def get_required_tokens(self, form: str, length: int) -> Required:
        """Mask."""
        return Required(mask=True)

    def prepare(self, batch: Batch, generators: Sequence[torch.Generator]) -> View:
        """Which tokens are masked is drawn, and a number for each that decides what is proposed."""
        if not isinstance(batch, DocumentBatch):
            raise TypeError("replaced_token takes documents")
        tokens, segment = batch.tokens[:, :-1], batch.segment[:, :-1]
        chosen = self.hiding.choose(tokens, segment >= 0, generators)
        numbers = uniform(tokens.shape[1], generators)
        inputs = Inputs(tokens.masked_fill(chosen, self.vocabulary.mask), segment, batch.position[:, :-1])
        return View(inputs, tokens, segment >= 0, {"chosen": chosen, "uniform": numbers})

    def predict(self, model: LanguageModel, view: View) -> tuple[Tensor, Tensor]:
        """Logits ``[asked, 2]`` and targets ``[asked]`` of real tokens; 1 is replaced."""
        return self._detect(model, view, self._propose(view))

    def loss(self, model: LanguageModel, view: View) -> dict[str, Tensor]:
        """Cross-entropy of the masked tokens for the generator, and weighted of the two classes for the model."""
        proposed = self._propose(view)
        asked = (view.extra["chosen"] & view.valid)[view.extra["chosen"]]
        originals = view.targets[view.extra["chosen"]]
        generator = F.cross_entropy(proposed[asked].float(), originals[asked], reduction="sum")
        logits, replaced = self._detect(model, view, proposed)
        total = F.cross_entropy(logits.float(), replaced, reduction="sum")
        return {
            "generator": generator / asked.sum().clamp(min=1),
            "discriminator": self.weight * total / max(1, len(replaced)),
        }

    def count_terms(self, view: View) -> dict[str, int]:
        """The masked tokens, and all real ones."""
        masked = view.extra["chosen"] & view.valid
        return {"generator": int(masked.sum()), "discriminator": int(view.valid.sum())}

    def _propose(self, view: View) -> Tensor:
        """The generator's logits ``[masked, vocabulary]`` at the masked places."""
        logits: Tensor = self.generator(view.inputs, view.extra["chosen"])
        return logits

    def _detect(self, model: LanguageModel, view: View, proposed: Tensor) -> tuple[Tensor, Tensor]:
        tokens = view.targets.clone()
        tokens[view.extra["chosen"]] = _drawn(proposed.detach(), view.extra["uniform"][view.extra["chosen"]])
        score = self.score(model.compute_hidden(replace(view.inputs, tokens=tokens))[view.valid])
        # Of two logits of which one is zero, softmax is the sigmoid of the other.
        return torch.cat([torch.zeros_like(score), score], dim=-1), (tokens != view.targets)[view.valid].long()


def _drawn(logits: Tensor, uniform: Tensor) -> Tensor:
    """Tokens ``[n]`` of logits ``[n, vocabulary]``: where the sum of probabilities first exceeds ``uniform``."""
    sums = logits.double().softmax(dim=-1).cumsum(dim=-1)
    at = torch.searchsorted(sums, uniform.double()[:, None] * sums[:, -1:], right=True)
    return at[:, 0].clamp(max=logits.shape[-1] - 1)


class _Proposals(nn.Module):
    """torch's encoder over documents that keep to themselves, with sinusoidal positions and a tied head."""

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

    def forward(self, inputs: Inputs, asked: Tensor) -> Tensor:
        """Logits ``[asked, vocabulary]`` at the asked places."""
        if inputs.segment is None or inputs.position is None:
            raise TypeError("rows of documents have segments and positions")
        dim = self.table.embedding_dim
        x = self.table(inputs.tokens) * math.sqrt(dim)
        x = x + _sinusoids(inputs.position, dim).to(x.dtype)
        apart = inputs.segment[:, :, None] != inputs.segment[:, None, :]  # padding sees padding, so nobody sees nothing
        y = self.layers(x, apart.repeat_interleave(self.heads, dim=0))
        return F.linear(y[asked], self.table.weight, self.bias)


def _sinusoids(positions: Tensor, dim: int) -> Tensor:
    """``[batch, length, dim]`` (Vaswani et al. 2017), sines first."""
    rate = torch.exp(torch.arange(dim // 2, device=positions.device) * (-math.log(10000.0) * 2 / dim))
    angle = positions[..., None] * rate
    return torch.cat([angle.sin(), angle.cos()], dim=-1)

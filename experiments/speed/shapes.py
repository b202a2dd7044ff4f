"""Shapes of the models that are measured, and the config of zoo for each of their families."""

from __future__ import annotations

from dataclasses import dataclass, replace

POSITIONS = 256  # of the learned position at least, so that models of one shape can also decode


@dataclass(frozen=True)
class Shape:
    """Size of a model and of its batch.

    Args:
        name: of the shape, as in the report.
        layers: number of layers.
        dim: features per token.
        heads: query heads.
        length: tokens in a row.
        batch: rows in a step.
        vocabulary: number of tokens in the vocabulary.
    """

    name: str
    layers: int
    dim: int
    heads: int
    length: int
    batch: int
    vocabulary: int

    @property
    def tokens(self) -> int:
        """Tokens in a step."""
        return self.batch * self.length

    @property
    def positions(self) -> int:
        """Positions that a learned position has."""
        return max(POSITIONS, self.length)

    @property
    def kv_heads(self) -> int:
        """Key and value heads of the family ``llama``: half of the query heads."""
        return self.heads // 2

    def get_hidden(self, family: str) -> int:
        """Returns the width of the feed-forward: 4 * dim for ``gpt``; else 8/3 of dim, rounded up to 64."""
        return 4 * self.dim if family == "gpt" else -(-8 * self.dim // (3 * 64)) * 64

    def resize(self, name: str, *, length: int = 0, batch: int = 0, vocabulary: int = 0) -> Shape:
        """Returns the same model with another length, batch or vocabulary; 0 keeps the value."""
        sizes = (length or self.length, batch or self.batch, vocabulary or self.vocabulary)
        return replace(self, name=name, length=sizes[0], batch=sizes[1], vocabulary=sizes[2])


SMALL = Shape("small", layers=4, dim=256, heads=4, length=256, batch=8, vocabulary=512)
TINY = Shape("tiny", layers=4, dim=128, heads=4, length=64, batch=12, vocabulary=65)
MEDIUM = Shape("6x384", layers=6, dim=384, heads=6, length=256, batch=8, vocabulary=512)


def list_overrides(family: str, shape: Shape) -> list[str]:
    """Lists the overrides of ``zoo train`` for a model of a family: ``gpt`` or ``llama``.

    ``gpt`` has the exact GELU, which all peers offer (nanoGPT, ``torch.nn`` and x-transformers no other); the preset
    itself has that of GPT-2, the approximation by tanh.
    """
    sizes = {"layers": shape.layers, "dim": shape.dim, "heads": shape.heads, "hidden": shape.get_hidden(family)}
    own = {
        "gpt": [f"model.position.length={shape.positions}", "model.ffn.activation=gelu"],
        "llama": [f"model.attention.kv_heads={shape.kv_heads}", "model.norm.eps=1e-5"],
    }[family]
    given = [f"model.{name}={size}" for name, size in (sizes | {"vocabulary": shape.vocabulary}).items()]
    return [f"model={family}", *given, *own]

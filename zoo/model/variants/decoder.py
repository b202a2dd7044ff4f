"""Decoder with a causal stack, as in GPT."""

from __future__ import annotations

from typing import ClassVar, final

from zoo.model.variants.single import SingleStack


@final
class Decoder(SingleStack):
    """Model with one causal stack (Radford et al. 2018)."""

    name: ClassVar[str] = "decoder"
    default_objectives: ClassVar[dict[str, str]] = {"documents": "causal_lm", "pairs": "prefix_lm"}

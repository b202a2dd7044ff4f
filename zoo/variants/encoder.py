"""The encoder: a stack that sees both ways, as in BERT."""

from __future__ import annotations

from typing import ClassVar, final

from zoo.variants.single import SingleStack


@final
class Encoder(SingleStack):
    """One stack whose tokens see each other (Devlin et al. 2018, arXiv:1810.04805)."""

    name: ClassVar[str] = "encoder"
    default_objectives: ClassVar[dict[str, str]] = {"documents": "masked_lm", "pairs": "masked_lm"}

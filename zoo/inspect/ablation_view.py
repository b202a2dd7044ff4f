"""View of ablations for a page: as many parts as can be switched off in a moment, and those that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from zoo.generation.prompting import Prompting
from zoo.inspect.ablation import measure_ablations
from zoo.inspect.ablation_targets import list_targets
from zoo.model.variants.variant import Variant

OPERATIONS = 3e11
"""Operations that passes with each part off may take together, in a page for which no parts were named."""
TEXTS, TOKENS = 6, 12


def build_ablation_view(
    model: Variant, prompting: Prompting, text: str, names: Sequence[str] = ()
) -> dict[str, Any] | None:
    """Switches off parts of a model, one at a time, while it reads a text.

    Args:
        model: any variant.
        prompting: encodes the text.
        text: the text.
        names: parts to switch off, as in :func:`zoo.inspect.ablation_targets.find_targets`. Without any, every
            sublayer and every head, or the sublayers alone, if passes over the text take no more than ``OPERATIONS``.
    Returns:
        the fields of :class:`zoo.inspect.ablation.AblationView`, and ``heads``: how many heads were left out. None if
        there is nothing to predict, or no part is named and all sublayers would take too long.
    """
    length = len(prompting.encode(text, model.vocabulary))
    if model.head is None or (model.name == "decoder" and length < 2):
        return None
    heads = sum(target.kind == "head" for target in list_targets(model))
    chosen = list(names) or _choose_groups(model, length, heads)
    if not chosen:
        return None
    found = measure_ablations(model, prompting, text, chosen, tokens=TOKENS, texts=TEXTS)
    measured = sum(ablation.target.kind == "head" for ablation in found.ablations)
    return {**asdict(found), "heads": 0 if names else heads - measured}


def _choose_groups(model: Variant, length: int, heads: int) -> list[str]:
    passing = max(1, model.flops(length, length))
    sublayers = sum(target.kind == "sublayer" for target in list_targets(model))
    if not sublayers or sublayers * passing > OPERATIONS:
        return []
    return ["sublayers", "heads"] if heads and (sublayers + heads) * passing <= OPERATIONS else ["sublayers"]

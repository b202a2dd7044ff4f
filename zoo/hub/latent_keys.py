"""Keys for latent attention in published configs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

from zoo.hub.config_views import FLOAT, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.keys import Key
from zoo.hub.rotary_keys import compute_mscale

MAX_MSCALE = 100.0
"""Maximum of ``mscale_all_dim``; published values are at most 1."""


@final
@dataclass(frozen=True)
class LatentScale(Key):
    """Scale of scores m² / √(head width), with m = 0.1 · mscale_all_dim · ln(factor) + 1.

    The head width includes the rotary part. The key must come after the one for rotary scaling, whose factor it uses.
    Source: DeepSeek-AI 2024 (DeepSeek-V2).
    """

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Sets the scale; no option is taken, since the rotary key takes them."""
        given = theirs.get("rope_parameters") or theirs.get("rope_scaling") or {}
        if theirs.problems or ours.get("position.scaling.factor") is None or "mscale_all_dim" not in given:
            return
        found: list[str] = []
        whole = FLOAT.check(given["mscale_all_dim"], f"{theirs.name}: rope_parameters: mscale_all_dim", found)
        if not found and not 0 <= whole <= MAX_MSCALE:
            found.append(f"{theirs.name}: rope_parameters: mscale_all_dim must be from 0 to 100: got {whole}")
        theirs.problems += found
        if found or not whole:
            return
        size = compute_mscale(ours.get("position.scaling.factor"), whole)
        ours.set("attention.scores.scale", size**2 * _get_head_width(ours) ** -0.5)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes ``mscale_all_dim``, and the ``mscale`` that gives our attention factor together with it."""
        scaling, scale = ours.get("position.scaling") or {}, ours.get("attention.scores.scale")
        factor, usual = scaling.get("factor"), _get_head_width(ours) ** -0.5
        if scale is None or factor is None or scale <= usual * (1 + 1e-9):
            return
        size = math.sqrt(scale / usual)
        more = {"mscale_all_dim": _invert_mscale(size, factor)}
        if (attention_factor := scaling.get("attention_factor")) is not None:
            more["mscale"] = _invert_mscale(attention_factor * size, factor)
        for name in ("rope_parameters", "rope_scaling"):
            theirs[name] = {**theirs[name], **more}


def _get_head_width(ours: ConfigDraft | PlanValues) -> int:
    """Returns the features of a query head, including the separate rotary ones of latent attention."""
    return int(ours.get("head_dim") + ours.get("attention.rope_dim", 0))


def _invert_mscale(size: float, factor: float) -> float:
    """Inverts :func:`compute_mscale`, rounded to the digits of a published config."""
    return round((size - 1.0) / (0.1 * math.log(factor)), 12)

"""Scaling of rotary frequencies for rows longer than those of the original training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from zoo.checks import require, require_positive

USED_BY = {
    "factor": ("linear", "ntk", "yarn", "llama3"),
    "length": ("yarn", "llama3"),
    "beta_fast": ("yarn",),
    "beta_slow": ("yarn",),
    "attention_factor": ("yarn",),
    "truncate": ("yarn",),
    "low": ("llama3",),
    "high": ("llama3",),
}
"""Kinds that read each option."""


@dataclass(frozen=True)
class Scaling:
    """Changes rotary frequencies so that rows may be ``factor`` times longer than those of the original training.

    Args:
        kind: ``linear`` divides all frequencies by ``factor`` (arXiv:2306.15595). ``ntk`` changes the base so that the
            lowest frequency is divided by ``factor`` and the highest is kept (bloc97 2023; arXiv:2309.00071, section
            3.1). ``yarn`` (arXiv:2309.00071) and ``llama3`` (arXiv:2407.21783) divide the frequencies of pairs that
            make few rotations within ``length`` tokens and keep those of pairs that make many.
        factor: how many times longer rows may become; above 1. Required for every kind except ``none``.
        length: longest row of the original training, in tokens. Required for ``yarn`` and ``llama3``.
        beta_fast: ``yarn`` keeps pairs that make more rotations than this within ``length``; null is 32.
        beta_slow: ``yarn`` divides pairs that make fewer rotations than this within ``length``; null is 1. If it
            equals ``beta_fast``, the ramp between the two becomes a step.
        attention_factor: ``yarn`` multiplies rotated queries and keys by it; null is 0.1 ln(factor) + 1.
            For published models with mscale and mscale_all_dim (DeepSeek), it is (0.1 mscale ln(factor) + 1) /
            (0.1 mscale_all_dim ln(factor) + 1); their effect on all features is the attention's ``scores.scale``.
        truncate: whether the ramp of ``yarn`` starts and ends at whole pair indices; null is true (gpt-oss: false).
        low: ``llama3`` divides pairs that make fewer rotations than this within ``length``; null is 1.
        high: ``llama3`` keeps pairs that make more rotations than this within ``length``; null is 4.
    Raises:
        Refused: if an option is missing, belongs to another kind, or is out of range.
    """

    kind: Literal["none", "linear", "ntk", "yarn", "llama3"] = "none"
    factor: float | None = None
    length: int | None = None
    beta_fast: float | None = None
    beta_slow: float | None = None
    attention_factor: float | None = None
    truncate: bool | None = None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        for name, kinds in USED_BY.items():
            value = getattr(self, name)
            if value is None:
                is_required = name in ("factor", "length") and self.kind in kinds
                require(not is_required, f"scaling.{name} must be given for scaling.kind={self.kind}: got null")
                continue
            allowed = " or ".join(kinds)
            require(self.kind in kinds, f"scaling.{name} requires scaling.kind {allowed}: got scaling.kind={self.kind}")
            if name != "truncate":
                require_positive(f"scaling.{name}", value)
        if self.factor is not None:
            require(self.factor > 1, f"scaling.factor must be above 1: got scaling.factor={self.factor}")
        for (lower, minimum), (upper, maximum) in (
            (("beta_slow", self._yarn_limits[0]), ("beta_fast", self._yarn_limits[1])),
            (("low", self._llama3_limits[0]), ("high", self._llama3_limits[1])),
        ):
            values = f"scaling.{lower}={minimum}, scaling.{upper}={maximum}"
            require(minimum <= maximum, f"scaling.{lower} must not be above scaling.{upper}: got {values}")

    @property
    def rotation_scale(self) -> float:
        """Factor that multiplies the rotated features of queries and keys."""
        if self.kind != "yarn" or self.factor is None:
            return 1.0
        return 0.1 * math.log(self.factor) + 1.0 if self.attention_factor is None else self.attention_factor

    def scale_frequencies(self, frequencies: Tensor, base: float) -> Tensor:
        """Scales frequencies ``[pairs]``, which are powers of ``base`` in descending order."""
        if self.kind == "none" or self.factor is None:
            return frequencies
        divided = frequencies / self.factor
        if self.kind == "linear":
            return divided
        if self.kind == "ntk":
            # Equal to the frequencies of the base base * factor^(width / (width - 2)).
            exponents = torch.linspace(0, 1, len(frequencies), device=frequencies.device, dtype=frequencies.dtype)
            return frequencies * self.factor**-exponents
        kept = self._compute_ramp(frequencies, base)
        return kept * frequencies + (1 - kept) * divided

    def _compute_ramp(self, frequencies: Tensor, base: float) -> Tensor:
        """Returns the share of each frequency that is kept, ``[pairs]``."""
        if self.kind == "yarn":
            return self._compute_yarn_ramp(frequencies, base)
        return self._compute_llama3_ramp(frequencies)

    @property
    def _yarn_limits(self) -> tuple[float, float]:
        """Rotations within ``length`` at which the ramp of ``yarn`` ends and starts."""
        return _get_or_default(self.beta_slow, 1.0), _get_or_default(self.beta_fast, 32.0)

    @property
    def _llama3_limits(self) -> tuple[float, float]:
        """Rotations within ``length`` at which the ramp of ``llama3`` ends and starts."""
        return _get_or_default(self.low, 1.0), _get_or_default(self.high, 4.0)

    def _compute_llama3_ramp(self, frequencies: Tensor) -> Tensor:
        """Returns the share of each frequency that is kept, ``[pairs]``, linear in the number of rotations."""
        low, high = self._llama3_limits
        rotations = frequencies * ((self.length or 0) / (2 * math.pi))
        if low == high:  # a step: the ramp has no width
            return (rotations >= low).to(rotations.dtype)
        return ((rotations - low) / (high - low)).clamp(0, 1)

    def _compute_yarn_ramp(self, frequencies: Tensor, base: float) -> Tensor:
        """Returns the share of each frequency that is kept, ``[pairs]``, linear in the index of the pair.

        The ramp starts at the pair that makes ``beta_fast`` rotations within ``length`` and ends at the one that makes
        ``beta_slow``.
        """
        pairs, (slow, fast) = len(frequencies), self._yarn_limits
        # Pair i makes length * base^(-i / pairs) / 2π rotations; solved for i.
        start, end = (
            pairs * math.log((self.length or 0) / (rotations * 2 * math.pi)) / math.log(base)
            for rotations in (fast, slow)
        )
        if self.truncate is not False:
            start, end = math.floor(start), math.ceil(end)
        start, end = max(start, 0), min(end, 2 * pairs - 1)
        index = torch.arange(pairs, device=frequencies.device, dtype=frequencies.dtype)
        return 1 - ((index - start) / max(end - start, 0.001)).clamp(0, 1)


def _get_or_default(value: float | None, default: float) -> float:
    return default if value is None else value

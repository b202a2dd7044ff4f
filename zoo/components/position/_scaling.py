"""Frequencies of rotary positions for longer rows than those of training; not a component itself."""

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


@dataclass(frozen=True)
class Scaling:
    """How frequencies change so that rows may be ``factor`` times longer; null is the default of the kind.

    Args:
        kind: linear divides all by ``factor`` (arXiv:2306.15595); ntk divides the slowest and keeps the fastest, by
            another base (bloc97 2023; arXiv:2309.00071, section 3.1); yarn (arXiv:2309.00071) and llama3
            (arXiv:2407.21783) divide what turns seldom within ``length`` and keep what turns often.
        factor: how many times longer; above 1. Must be given for every kind but none.
        length: the longest row of the first training. Must be given for yarn and llama3.
        beta_fast: yarn keeps pairs that turn more often than this within ``length``; null is 32.
        beta_slow: yarn divides pairs that turn less often than this within ``length``; null is 1. If the
            two are equal, there is a step in place of a ramp.
        attention_factor: yarn multiplies turned features of queries and keys with it; null is 0.1 ln(factor) + 1.
            Where a published system has mscale and mscale_all_dim (DeepSeek), it is (0.1 mscale ln(factor) + 1) /
            (0.1 mscale_all_dim ln(factor) + 1), and what they do to all features is the attention's ``scores.scale``.
        truncate: yarn's ramp begins and ends at whole pairs; null is true (gpt-oss: false).
        low: llama3 divides pairs that turn less often than this within ``length``; null is 1.
        high: llama3 keeps pairs that turn more often than this within ``length``; null is 4.
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
                needed = name in ("factor", "length") and self.kind in kinds
                require(not needed, f"scaling.{name} must be given: got scaling.kind={self.kind}")
                continue
            require(self.kind in kinds, f"scaling.{name} is for {' and '.join(kinds)}: got kind={self.kind}")
            if name != "truncate":
                require_positive(f"scaling.{name}", value)
        if self.factor is not None:
            require(self.factor > 1, f"scaling.factor must be above 1: got scaling.factor={self.factor}")
        for (lower, least), (upper, most) in (
            (("beta_slow", self._turns[0]), ("beta_fast", self._turns[1])),
            (("low", self._bounds[0]), ("high", self._bounds[1])),
        ):
            values = f"scaling.{lower}={least}, scaling.{upper}={most}"
            require(least <= most, f"scaling.{lower} must not be above scaling.{upper}: got {values}")

    @property
    def size(self) -> float:
        """What turned features are multiplied with."""
        if self.kind != "yarn" or self.factor is None:
            return 1.0
        return 0.1 * math.log(self.factor) + 1.0 if self.attention_factor is None else self.attention_factor

    def scaled(self, frequencies: Tensor, base: float) -> Tensor:
        """The frequencies ``[pairs]``, which are powers of ``base``, changed."""
        if self.kind == "none" or self.factor is None:
            return frequencies
        divided = frequencies / self.factor
        if self.kind == "linear":
            return divided
        if self.kind == "ntk":
            # The same as another base: base * factor^(width / (width - 2)).
            share = torch.linspace(0, 1, len(frequencies), device=frequencies.device, dtype=frequencies.dtype)
            return frequencies * self.factor**-share
        kept = self._kept_by_yarn(frequencies, base) if self.kind == "yarn" else self._kept_by_llama3(frequencies)
        return kept * frequencies + (1 - kept) * divided

    @property
    def _turns(self) -> tuple[float, float]:
        return _or(self.beta_slow, 1.0), _or(self.beta_fast, 32.0)

    @property
    def _bounds(self) -> tuple[float, float]:
        return _or(self.low, 1.0), _or(self.high, 4.0)

    def _kept_by_llama3(self, frequencies: Tensor) -> Tensor:
        low, high = self._bounds
        turns = frequencies * ((self.length or 0) / (2 * math.pi))
        if low == high:  # no ramp but a step
            return (turns >= low).to(turns.dtype)
        return ((turns - low) / (high - low)).clamp(0, 1)

    def _kept_by_yarn(self, frequencies: Tensor, base: float) -> Tensor:
        """A ramp over the number of the pair, between those that turn beta_fast and beta_slow times."""
        pairs, (slow, fast) = len(frequencies), self._turns
        begin, end = (
            pairs * math.log((self.length or 0) / (turns * 2 * math.pi)) / math.log(base) for turns in (fast, slow)
        )
        if self.truncate is not False:
            begin, end = math.floor(begin), math.ceil(end)
        begin, end = max(begin, 0), min(end, 2 * pairs - 1)
        number = torch.arange(pairs, device=frequencies.device, dtype=frequencies.dtype)
        return 1 - ((number - begin) / max(end - begin, 0.001)).clamp(0, 1)


def _or(value: float | None, default: float) -> float:
    return default if value is None else value

"""The summary of a composed model, which shows itself in a terminal and in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoo.inspect.summary import describe, render
from zoo.system.html_tables import format_html_text
from zoo.system.tables import capture_text


@dataclass(frozen=True, repr=False)
class ModelSummary:
    """Parameters, operations, and memory of a model.

    Attributes:
        description: all of it as plain values, as ``zoo show --json`` prints it.
    """

    description: Mapping[str, Any]

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return int(self.description["parameters"])

    @property
    def active_parameters(self) -> int:
        """Number of parameters that a token uses."""
        return int(self.description["active_parameters"])

    @property
    def flops_per_token(self) -> int:
        """Operations of a training step for one token."""
        return int(self.description["flops_per_token"])

    @property
    def cache_bytes(self) -> int:
        """Bytes of the cache after a row of ``data.length`` tokens."""
        return int(self.description["cache_bytes"])

    def __repr__(self) -> str:
        return capture_text(lambda terminal: render(self.description, terminal)).rstrip("\n")

    def _repr_html_(self) -> str:
        """Returns the summary for notebooks."""
        return format_html_text(repr(self))


def show(*overrides: str) -> ModelSummary:
    """Summarizes the model of overrides, without memory for its weights.

    Raises:
        Refused: with every problem of model and data, one a line.
    """
    return ModelSummary(describe(overrides))

"""The start and the failure of a run, typed: ``started.json`` and ``failed.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class InitialWeights:
    """The checkpoint that the weights of a run started from; names of tensors are ours, with layers joined.

    Attributes:
        path: path of the checkpoint.
        sha256: digest of its content.
        family: its format.
        kept: tensors that were copied unchanged.
        converted: tensors that were converted, with a description of the conversion.
        new: tensors that the checkpoint does not have.
        left: tensors of the checkpoint that the model does not have.
    """

    path: str
    sha256: str
    family: str
    kept: Sequence[str] = ()
    converted: Mapping[str, str] = field(default_factory=dict)
    new: Sequence[str] = ()
    left: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class RunStart:
    """Provenance of a run, written before its first step.

    Attributes:
        fingerprints: SHA-256 of code, components, and data.
        versions: of zoo, Python, and what computes.
        packages: of plug-ins and targets.
        hardware: of the machine.
        git: revision of the checkout.
        started: when the training started.
        checkpoint: checkpoint that the weights started from.
        further: keys of the file that this version does not know.
    """

    fingerprints: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str] = field(default_factory=dict)
    hardware: Mapping[str, Any] = field(default_factory=dict)
    git: str | None = None
    started: datetime | None = None
    checkpoint: InitialWeights | None = None
    further: Mapping[str, Any] = field(default_factory=dict)

    def find_change(self, fingerprints: Mapping[str, str]) -> str | None:
        """Finds the first of today's fingerprints that this run has not; None if it has all."""
        return next((name for name, today in fingerprints.items() if self.fingerprints.get(name) != today), None)


@dataclass(frozen=True)
class RunFailure:
    """The error that ended a run.

    Attributes:
        error: class and message.
        traceback: its traceback.
    """

    error: str
    traceback: str = ""

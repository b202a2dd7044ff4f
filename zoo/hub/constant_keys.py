"""Keys for options that set nothing in a model config: they have a single supported value, or no effect."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from zoo.hub.config_views import INT, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.keys import Key


@final
@dataclass(frozen=True)
class Fixed(Key):
    """An option with a single supported value.

    Args:
        theirs: name of the option.
        value: the supported value.
        default: value if the option is absent, unless it is the supported one.
    """

    theirs: str
    value: Any
    default: Any = None

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Refuses any other value."""
        value = theirs.take_any(self.theirs)
        value = self.value if value is None and self.default is None else self.default if value is None else value
        if value != self.value or isinstance(value, bool) is not isinstance(self.value, bool):
            theirs.refuse(self.theirs, f"must be {self.value!r}, since no component supports another value", value)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes the value even if it is the default, since other readers of checkpoints have other defaults."""
        if self.value is not None:
            theirs[self.theirs] = self.value


@final
@dataclass(frozen=True)
class Redundant(Key):
    """An option that repeats the value of another one; it may be absent.

    Args:
        theirs: name of the option.
        ours: dotted path of the value.
        over: dotted path of a divisor of the value; None for no divisor.
    """

    theirs: str
    ours: str
    over: str | None = None

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Refuses any other value."""
        value, expected = theirs.take(self.theirs, INT, None), self._compute_expected(ours)
        if value is not None and expected is not None and value != expected:
            theirs.refuse(self.theirs, f"must be {expected}, since no component supports another value", value)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes the value, unless it has a divisor."""
        if self.over is None:
            theirs[self.theirs] = ours.get(self.ours)

    def _compute_expected(self, ours: ConfigDraft) -> int | None:
        value, divisor = ours.get(self.ours), 1 if self.over is None else ours.get(self.over)
        return None if value is None or not divisor else int(value // divisor)


@final
@dataclass(frozen=True)
class Passthrough(Key):
    """Options that do not affect what the model computes; they are kept, and written again.

    Args:
        theirs: names of the options.
    """

    theirs: tuple[str, ...]

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Takes the options; they are kept outside the model config."""
        for name in self.theirs:
            theirs.take_any(name)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes nothing: kept options are written by ``write_published_config``."""


@final
@dataclass(frozen=True)
class WriteOnly(Key):
    """An option that is written for other readers of checkpoints, but read neither here nor by transformers.

    Args:
        theirs: name of the option.
        ours: dotted path of its value.
    """

    theirs: str
    ours: str

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Takes the option without using it."""
        theirs.take_any(self.theirs)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes our value."""
        theirs[self.theirs] = ours.get(self.ours)

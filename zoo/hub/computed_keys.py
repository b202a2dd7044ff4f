"""Keys that compute a value of a model config from published options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from zoo.hub.config_views import BOOL, FLOAT, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.keys import Key
from zoo.registry.options import REQUIRED


@final
@dataclass(frozen=True)
class InverseSquareRoot(Key):
    """A number whose inverse square root is our value, as Gemma's ``query_pre_attn_scalar`` for the scale of scores.

    Args:
        theirs: name of the option.
        ours: dotted path of our option; null stands for the inverse square root of ``head_dim``.
        default: value if the option is absent.
    """

    theirs: str
    ours: str
    default: float

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Sets the inverse square root."""
        number = theirs.take(self.theirs, FLOAT, self.default)
        if number is not None and number <= 0:
            theirs.refuse(self.theirs, "must be positive", number)
        elif number is not None:
            ours.set(self.ours, number**-0.5)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes the inverse square, rounded to an integer."""
        scale = ours.get(self.ours)
        theirs[self.theirs] = ours.get("head_dim") if scale is None else round(scale**-2)


@final
@dataclass(frozen=True)
class Switch(Key):
    """A boolean option that selects one of two values of ours.

    Args:
        theirs: name of the option.
        ours: dotted path of our option.
        yes: our value if it is true.
        no: our value if it is false.
        default: value if the option is absent.
    """

    theirs: str
    ours: str
    yes: Any
    no: Any
    default: Any = REQUIRED

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Sets the selected value."""
        value = theirs.take(self.theirs, BOOL, self.default)
        if value is not None:
            ours.set(self.ours, self.yes if value else self.no)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes whether our value is the one for true."""
        theirs[self.theirs] = ours.get(self.ours) == self.yes


@final
@dataclass(frozen=True)
class Derived(Key):
    """A value of ours that follows from the options read before, without a published option.

    Args:
        ours: dotted path of our option.
        compute: computes the value from the config read so far.
    """

    ours: str
    compute: Callable[[ConfigDraft], Any]

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Sets the value, unless there were problems with the options before."""
        if not theirs.problems:
            ours.set(self.ours, self.compute(ours))

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes nothing: the value is derived."""

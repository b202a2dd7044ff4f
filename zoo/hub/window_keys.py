"""Windows as published configs say them: which layers have one, and how wide it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from zoo.hub.config_views import BOOL, INT, STR, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.keys import Key
from zoo.registry.options import Many, Maybe

FULL, SLIDING = "full_attention", "sliding_attention"
"""Their names of layers that see all, and of layers with a window."""


@final
@dataclass(frozen=True)
class LayerPattern:
    """Which layers have a window, by one number; for configs that do not list the type of each layer.

    Args:
        slides: from a layer, counted from 0, and the number to whether it has a window.
        default: the number, where nothing says it.
        theirs: the option that says it; None where there is none.
        least: the smallest number that makes sense.
    """

    slides: Callable[[int, int], bool]
    default: int
    theirs: str | None = None
    least: int = 0

    def list_types(self, layers: int, theirs: PublishedConfig) -> list[str]:
        """The type of each layer; none of them if the number is wrong, which is noted."""
        number = self.default if self.theirs is None else theirs.take(self.theirs, INT, self.default)
        if number is None:
            return []
        if number < self.least:
            theirs.refuse(str(self.theirs), f"must be at least {self.least}", number)
            return []
        return [SLIDING if self.slides(layer, number) else FULL for layer in range(layers)]

    @classmethod
    def from_period(cls, default: int, theirs: str | None = None) -> LayerPattern:
        """Creates the pattern in which every n-th layer has full attention, as in Gemma."""
        return cls(lambda layer, period: (layer + 1) % period != 0, default, theirs, least=1)

    @classmethod
    def from_first_layer(cls, default: int, theirs: str) -> LayerPattern:
        """Creates the pattern in which all layers from a first one on have a window, as in Qwen."""
        return cls(lambda layer, first: layer >= first, default, theirs)


@final
@dataclass(frozen=True)
class Window(Key):
    """A window for some layers, or for all. A query at i sees keys j with i - j < width, there as here.

    Args:
        theirs: the option with its width.
        layer_types: the option that lists a type for each layer; None if the window is for all.
        default: of the width.
        pattern: of the types, where they are not listed; None: all layers see all.
        switch: the option without whose truth there is no window; None if there is no such option.
    """

    theirs: str = "sliding_window"
    layer_types: str | None = "layer_types"
    default: Any = None
    pattern: LayerPattern | None = None
    switch: str | None = None

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """The width as the rule, and an exception ``full`` for the layers that see all."""
        width = theirs.take(self.theirs, Maybe(INT), self.default)
        if self.switch is not None and not theirs.take(self.switch, BOOL, False):
            width = None
        if self.layer_types is None:
            ours.set("attention.scores.window", width)
            return
        count = ours.get("layers") or 0
        types = self._list_types(count, width, theirs)
        if theirs.problems:
            return
        full = [number for number, kind in enumerate(types) if kind == FULL]
        if len(full) == count:
            return
        if width is None:
            theirs.refuse(self.theirs, f"must be given for layers of {SLIDING}", width)
            return
        ours.set("attention.scores.window", width)
        if full:
            ours.set("exceptions.full.at", full)
            ours.set("exceptions.full.attention.scores.window", None)

    def _list_types(self, count: int, width: int | None, theirs: PublishedConfig) -> Sequence[str]:
        """The type of each layer; options of the pattern are taken in any case."""
        made = [FULL] * count if self.pattern is None else self.pattern.list_types(count, theirs)
        types: Sequence[str] | None = theirs.take(str(self.layer_types), Maybe(Many(STR)), None)
        if types is None:
            return made if width is not None else [FULL] * count
        if set(types) - {FULL, SLIDING} or len(types) != count:
            theirs.refuse(str(self.layer_types), f"must be {FULL} or {SLIDING} for each of {count} layers", types)
        return types

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """The width, and the type of each layer; some families want a width even where no layer has it."""
        windows = [window for window in map(_get_window, ours.list_layers()) if window is not None]
        wanted = self.layer_types is not None and self.switch is None
        theirs[self.theirs] = windows[0] if windows else self.default if wanted else None
        if self.switch is not None:
            theirs[self.switch] = bool(windows)
        if self.layer_types is not None:
            theirs[self.layer_types] = list_layer_types(ours)


def list_layer_types(ours: PlanValues) -> list[str]:
    """Their name of the type of each of our layers."""
    return [FULL if _get_window(layer) is None else SLIDING for layer in ours.list_layers()]


def _get_window(layer: dict[str, Any]) -> int | None:
    window: int | None = layer["attention"].get("scores", {}).get("window")
    return window

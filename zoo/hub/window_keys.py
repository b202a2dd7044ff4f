"""Keys for attention windows in published configs: which layers have one, and its width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

from zoo.hub.config_views import BOOL, INT, STR, ConfigDraft, PlanValues, PublishedConfig
from zoo.hub.keys import Key
from zoo.registry.options import Many, Maybe

FULL, SLIDING = "full_attention", "sliding_attention"
"""Published names of layers with full attention, and of layers with a window."""


@final
@dataclass(frozen=True)
class LayerPattern:
    """Layers with a window as a function of one number, for configs that do not list the type of each layer.

    Args:
        slides: maps a layer, counted from 0, and the number to whether the layer has a window.
        default: default of the number.
        theirs: name of the option with the number; None if there is none.
        least: minimum of the number.
    """

    slides: Callable[[int, int], bool]
    default: int
    theirs: str | None = None
    least: int = 0

    def list_types(self, layers: int, theirs: PublishedConfig) -> list[str]:
        """Returns the type of each layer; an empty list if the number is wrong, which is recorded as a problem."""
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
    """A window for some or all layers: a query at i attends to keys j with i - j < width, there as here.

    Args:
        theirs: name of the option with the width.
        layer_types: name of the option that lists the type of each layer; None if all layers have the window.
        default: default of the width.
        pattern: types of the layers if they are not listed; None for full attention in all layers.
        switch: name of the option that turns the window on; None if there is none.
    """

    theirs: str = "sliding_window"
    layer_types: str | None = "layer_types"
    default: Any = None
    pattern: LayerPattern | None = None
    switch: str | None = None

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Sets the window as the rule, with an exception ``full`` for the layers without one."""
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
        """Returns the type of each layer; the option of the pattern is taken in any case."""
        pattern = [FULL] * count if self.pattern is None else self.pattern.list_types(count, theirs)
        types: Sequence[str] | None = theirs.take(str(self.layer_types), Maybe(Many(STR)), None)
        if types is None:
            return pattern if width is not None else [FULL] * count
        if set(types) - {FULL, SLIDING} or len(types) != count:
            theirs.refuse(str(self.layer_types), f"must be {FULL} or {SLIDING} for each of {count} layers", types)
        return types

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes the width and the type of each layer; some families need a width even if no layer has a window."""
        windows = [window for window in map(_get_window, ours.list_layers()) if window is not None]
        wanted = self.layer_types is not None and self.switch is None
        theirs[self.theirs] = windows[0] if windows else self.default if wanted else None
        if self.switch is not None:
            theirs[self.switch] = bool(windows)
        if self.layer_types is not None:
            theirs[self.layer_types] = list_layer_types(ours)


def list_layer_types(ours: PlanValues) -> list[str]:
    """Returns the published type of each of our layers."""
    return [FULL if _get_window(layer) is None else SLIDING for layer in ours.list_layers()]


def _get_window(layer: dict[str, Any]) -> int | None:
    window: int | None = layer["attention"].get("scores", {}).get("window")
    return window

"""Keys: declarative mappings between options of a published config.json and ours, in both directions.

In each of them, ``theirs`` are published options and ``ours`` are dotted paths of a model config.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

from zoo.hub.config_views import INT, MAX_LAYERS, STR, ConfigDraft, PlanValues, PublishedConfig
from zoo.registry.options import REQUIRED, Maybe, Type

ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_python": "gelu",
    "quick_gelu": "quick_gelu",
    "silu": "silu",
    "swish": "silu",
    "relu2": "squared_relu",
    "sigmoid": "sigmoid",
    "linear": "identity",
}
"""Published names of activation functions, and ours; of several names for the same function, the first is written."""


class Key(ABC):
    """Mapping of one or several options of config.json that belong together."""

    @abstractmethod
    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Takes the options from ``theirs`` and sets the corresponding values in ``ours``."""

    @abstractmethod
    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes the options for a plan; the result is read again and compared, so it may be incomplete."""


@final
@dataclass(frozen=True)
class Equal(Key):
    """An option that is equal to one of ours.

    Args:
        theirs: name of the option.
        ours: dotted path of our option; several if they are always equal.
        type: type of the value.
        default: value if the option is absent; ``=PATH`` for the value that was read for that path of ours.
        names: published values and ours, if they differ.
        most: maximum value.
        least: minimum value.
    """

    theirs: str
    ours: str | tuple[str, ...]
    type: Type = INT
    default: Any = REQUIRED
    names: Mapping[Any, Any] | None = None
    most: int | None = None
    least: int | None = None

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Sets the value at all paths."""
        referred = isinstance(self.default, str) and self.default.startswith("=")
        default = None if referred else self.default
        value = theirs.take(self.theirs, self.type, default)
        if value is None and referred:
            value = ours.get(self.default[1:])
        elif value is not None and self.names is not None:
            if value not in self.names:
                theirs.refuse(self.theirs, f"must be one of {', '.join(map(str, self.names))}", value)
                return
            value = self.names[value]
        if value is not None and self.most is not None and value > self.most:
            theirs.refuse(self.theirs, f"must be at most {self.most}", value)
            return
        if value is not None and self.least is not None and value < self.least:
            theirs.refuse(self.theirs, f"must be at least {self.least}", value)
            return
        for path in (self.ours,) if isinstance(self.ours, str) else self.ours:
            ours.set(path, value)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes the value of the first path, or the default for a part that the model does not have (a head)."""
        value = ours.get(self.ours if isinstance(self.ours, str) else self.ours[0])
        if value is None and self.default is not REQUIRED and not isinstance(self.type, Maybe):
            value = None if str(self.default).startswith("=") else self.default
        if self.names is not None:  # several published names for our value: prefer the family's default
            spellings = [their for their, our in self.names.items() if our == value] or [next(iter(self.names))]
            value = self.default if self.default in spellings else spellings[0]
        theirs[self.theirs] = value


@final
@dataclass(frozen=True)
class Synonyms(Key):
    """An option with several names; a file has one of them, or several with the same value.

    Args:
        key: the mapping of the option, under the name that is written.
        also: its other names.
    """

    key: Equal
    also: tuple[str, ...]

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Reads the first name that the file has."""
        given = {name: theirs.get(name) for name in (self.key.theirs, *self.also) if theirs.get(name) is not None}
        first = next(iter(given), self.key.theirs)
        for name in (self.key.theirs, *self.also):
            if name != first and theirs.take_any(name) not in (None, given.get(first)):
                theirs.refuse(name, f"must be equal to {first}={given[first]}", given[name])
        replace(self.key, theirs=first).read(theirs, ours)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Writes the option under its main name."""
        self.key.write(ours, theirs)


def map_layers(theirs: str, ours: str = "layers", default: Any = REQUIRED) -> Equal:
    """Maps the number of layers."""
    return Equal(theirs, ours, default=default, most=MAX_LAYERS)


def map_activation(theirs: str, ours: str = "ffn.activation", default: Any = REQUIRED) -> Equal:
    """Maps the name of an activation function."""
    return Equal(theirs, ours, STR, default, ACTIVATIONS)


def replace_defaults(keys: Iterable[Key], **defaults: Any) -> tuple[Key, ...]:
    """Returns the same keys with other defaults for the named options."""
    return tuple(_replace_default(key, defaults) for key in keys)


def _replace_default(key: Key, defaults: Mapping[str, Any]) -> Key:
    if isinstance(key, Synonyms):
        inner = _replace_default(key.key, defaults)
        return replace(key, key=inner) if isinstance(inner, Equal) else key
    return replace(key, default=defaults[key.theirs]) if isinstance(key, Equal) and key.theirs in defaults else key

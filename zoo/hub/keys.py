"""Keys: declarative mappings between options of a published config.json and ours, in both directions.

In each of them, ``theirs`` are published options and ``ours`` are dotted paths of a model config.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

from zoo.hub.config_views import BOOL, FLOAT, INT, MAX_LAYERS, STR, ConfigDraft, PlanValues, PublishedConfig
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

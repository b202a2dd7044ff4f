"""What options of a published config.json say of ours, in both directions."""

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
"""Their names of activation functions, and ours; of several names for one of ours, the first is written."""


class Key(ABC):
    """One or several options of config.json that belong together."""

    @abstractmethod
    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Take them from ``theirs`` and write what they mean into ``ours``."""

    @abstractmethod
    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """The way back. What they cannot say may be left out: the result is read again and compared."""


@final
@dataclass(frozen=True)
class Equal(Key):
    """One option that is one of ours.

    Args:
        theirs: its name.
        ours: dotted path of ours; several if they are always equal.
        type: of its value.
        default: what its absence means; a path of ours after ``=`` stands for what was read there.
        names: their values and ours, where these differ.
        most: the largest value that makes sense.
        least: the smallest.
    """

    theirs: str
    ours: str | tuple[str, ...]
    type: Type = INT
    default: Any = REQUIRED
    names: Mapping[Any, Any] | None = None
    most: int | None = None
    least: int | None = None

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Into all its paths."""
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
        """From its first path; what the model does not have (a head) says what absence means."""
        value = ours.get(self.ours if isinstance(self.ours, str) else self.ours[0])
        if value is None and self.default is not REQUIRED and not isinstance(self.type, Maybe):
            value = None if str(self.default).startswith("=") else self.default
        if self.names is not None:  # of several spellings that of the family
            spellings = [their for their, our in self.names.items() if our == value] or [next(iter(self.names))]
            value = self.default if self.default in spellings else spellings[0]
        theirs[self.theirs] = value


@final
@dataclass(frozen=True)
class Synonyms(Key):
    """One option that has several names, of which a file has one, or all with one value.

    Args:
        key: what it means, by the name that is written.
        also: its other names.
    """

    key: Equal
    also: tuple[str, ...]

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """By the name that is there."""
        given = {name: theirs.get(name) for name in (self.key.theirs, *self.also) if theirs.get(name) is not None}
        first = next(iter(given), self.key.theirs)
        for name in (self.key.theirs, *self.also):
            if name != first and theirs.take_any(name) not in (None, given.get(first)):
                theirs.refuse(name, f"must be that of {first}, which is {given[first]}", given[name])
        replace(self.key, theirs=first).read(theirs, ours)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """By its own name."""
        self.key.write(ours, theirs)


def map_layers(theirs: str, ours: str = "layers", default: Any = REQUIRED) -> Equal:
    """The number of layers."""
    return Equal(theirs, ours, default=default, most=MAX_LAYERS)


def map_activation(theirs: str, ours: str = "ffn.activation", default: Any = REQUIRED) -> Equal:
    """The name of an activation function."""
    return Equal(theirs, ours, STR, default, ACTIVATIONS)


def replace_defaults(keys: Iterable[Key], **defaults: Any) -> tuple[Key, ...]:
    """The same options, but the absence of those that are named means these values."""
    return tuple(_replace_default(key, defaults) for key in keys)


def _replace_default(key: Key, defaults: Mapping[str, Any]) -> Key:
    if isinstance(key, Synonyms):
        inner = _replace_default(key.key, defaults)
        return replace(key, key=inner) if isinstance(inner, Equal) else key
    return replace(key, default=defaults[key.theirs]) if isinstance(key, Equal) and key.theirs in defaults else key


@final
@dataclass(frozen=True)
class InverseSquareRoot(Key):
    """A number whose inverse square root is ours: Gemma's ``query_pre_attn_scalar``, and the scale of scores.

    Args:
        theirs: its name.
        ours: dotted path; null there means that of ``head_dim``.
        default: what its absence means.
    """

    theirs: str
    ours: str
    default: float

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """One over the root."""
        number = theirs.take(self.theirs, FLOAT, self.default)
        if number is not None and number <= 0:
            theirs.refuse(self.theirs, "must be positive", number)
        elif number is not None:
            ours.set(self.ours, number**-0.5)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """One over the square, as they have it: whole."""
        scale = ours.get(self.ours)
        theirs[self.theirs] = ours.get("head_dim") if scale is None else round(scale**-2)


@final
@dataclass(frozen=True)
class Fixed(Key):
    """An option for which one value is understood, which ours always has.

    Args:
        theirs: its name.
        value: the only value.
        default: what its absence means, if not that value.
    """

    theirs: str
    value: Any
    default: Any = None

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Refuse another value."""
        value = theirs.take_any(self.theirs)
        value = self.value if value is None and self.default is None else self.default if value is None else value
        if value != self.value or isinstance(value, bool) is not isinstance(self.value, bool):
            theirs.refuse(self.theirs, f"must be {self.value!r}, for there is no component for another", value)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """The value, though its absence may mean the same: other readers of checkpoints have other defaults."""
        if self.value is not None:
            theirs[self.theirs] = self.value


@final
@dataclass(frozen=True)
class Redundant(Key):
    """An option that can only say what others say; absent it says the same.

    Args:
        theirs: its name.
        ours: dotted path of what another option says.
        over: dotted path of what that is divided by; None: by nothing.
    """

    theirs: str
    ours: str
    over: str | None = None

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Refuse another value."""
        value, other = theirs.take(self.theirs, INT, None), self._compute_expected(ours)
        if value is not None and other is not None and value != other:
            theirs.refuse(self.theirs, f"must be {other}, for there is no component for another", value)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """The same again, if a file must say it."""
        if self.over is None:
            theirs[self.theirs] = ours.get(self.ours)

    def _compute_expected(self, ours: ConfigDraft) -> int | None:
        value, divisor = ours.get(self.ours), 1 if self.over is None else ours.get(self.over)
        return None if value is None or not divisor else int(value // divisor)


@final
@dataclass(frozen=True)
class Passthrough(Key):
    """Options that change nothing of what the model computes; they are kept, and written again.

    Args:
        theirs: their names.
    """

    theirs: tuple[str, ...]

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Take them; that they are kept is not the model's business."""
        for name in self.theirs:
            theirs.take_any(name)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Nothing: what was kept is written by who kept it."""


@final
@dataclass(frozen=True)
class WriteOnly(Key):
    """An option that neither we nor transformers read, written for other readers of checkpoints.

    Args:
        theirs: its name.
        ours: dotted path of what it repeats.
    """

    theirs: str
    ours: str

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Take it, whatever it says."""
        theirs.take_any(self.theirs)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """The value of ours."""
        theirs[self.theirs] = ours.get(self.ours)


@final
@dataclass(frozen=True)
class Switch(Key):
    """An option whose truth means one value of ours and whose falsehood another.

    Args:
        theirs: its name.
        ours: dotted path.
        yes: our value where it is true.
        no: our value where it is false.
        default: what its absence means.
    """

    theirs: str
    ours: str
    yes: Any
    no: Any
    default: Any = REQUIRED

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """One of two values."""
        value = theirs.take(self.theirs, BOOL, self.default)
        if value is not None:
            ours.set(self.ours, self.yes if value else self.no)

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """True where ours is the one, false elsewhere."""
        theirs[self.theirs] = ours.get(self.ours) == self.yes


@final
@dataclass(frozen=True)
class Derived(Key):
    """What follows from options that other keys read, and is no option of theirs.

    Args:
        ours: dotted path.
        compute: from what was read so far to our value.
    """

    ours: str
    compute: Callable[[ConfigDraft], Any]

    def read(self, theirs: PublishedConfig, ours: ConfigDraft) -> None:
        """Write what follows, unless something that it follows from is missing."""
        if not theirs.problems:
            ours.set(self.ours, self.compute(ours))

    def write(self, ours: PlanValues, theirs: dict[str, Any]) -> None:
        """Nothing: it follows."""

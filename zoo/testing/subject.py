"""Subjects of checks: components with options, alone or in a small model."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from zoo.checks import Refused
from zoo.model.build import build, check
from zoo.model.inputs import Inputs
from zoo.model.schema import SLOTS
from zoo.model.variants.variant import Variant
from zoo.registry import Entry
from zoo.registry.options import REQUIRED, Choice, Maybe, Option, Record, Scalar

Scope = Literal["declaration", "model", "option", "objective", "data", "tokenizer", "initialization"]

TOKENS = 32
LENGTH, SOURCE = 10, 6
LENGTHS = (7, 33, 65, 130)
"""Lengths of rows below and just above the boundaries of chunks, blocks and windows of 16, 32 and 64 tokens."""
LONG = LENGTHS[-1]
SMALL: dict[str, Any] = {
    "dim": 16,
    "layers": 2,
    "heads": 4,
    "hidden": 24,
    "attention": {"name": "multi_head"},
    "ffn": {"name": "mlp"},
    "norm": {"name": "layer"},
    "position": {"name": "sinusoidal"},
    "residual": {"name": "pre"},
}
"""Model in which one component at a time is replaced."""
POSITIONS: dict[frozenset[str], dict[str, Any]] = {
    frozenset({"rotate"}): {"position": {"name": "rotary"}},
    frozenset({"bias"}): {"position": {"name": "alibi"}},
    frozenset({"rotate", "bias"}): {
        "position": {"name": "alibi"},
        "exceptions": {"rotated": {"last": 1, "position": {"name": "rotary"}}},
    },
}
"""Positions of the small model by the hooks that its attention calls; each hook acts in one of the layers."""
TRAINING_ONLY = {"dropout"}  # options without effect in evaluation mode
GUARDS = {"eps"}  # numbers whose only effect may be to keep a quotient finite


@dataclass(eq=False)
class Subject:
    """Component with options at a place, on which checks run.

    Args:
        entry: registry entry of the component.
        scope: scope of the checks that apply.
        part: name, and options that differ from their defaults.
        place: for a part of a model: a variant, or one stack of an encoder-decoder (``encoder_decoder.encoder``); for
            an objective: variant and form of data (``decoder with pairs``).
        is_first: whether this is the first place of the component; slow checks run there only.
    Attributes:
        outcomes: outcomes of the checks that ran, by name.
    """

    entry: Entry
    scope: Scope
    part: Mapping[str, Any]
    place: str = ""
    is_first: bool = True
    outcomes: dict[str, Any] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """True if all options have their default values."""
        return len(self.part) == 1

    @property
    def label(self) -> str:
        """Kind, name, options and place, as in the ids of tests."""
        options = ",".join(f"{key}={value}" for key, value in self.part.items() if key != "name")
        found = f"{self.entry.kind}/{self.entry.name}" + (f"({options})" if options else "")
        return f"{found} in {self.place}" if self.place else found

    @property
    def cls(self) -> Any:
        """Class of the component."""
        return self.entry.load()

    @property
    def source(self) -> str:
        """File and line of the class, for messages."""
        try:
            return f"{inspect.getsourcefile(self.cls)}:{inspect.getsourcelines(self.cls)[1]}"
        except (OSError, TypeError):  # a class made in a notebook or by exec
            return self.entry.path

    @property
    def expected_failures(self) -> Mapping[str, str]:
        """Checks that the component declares it cannot pass, with the reasons."""
        found: Mapping[str, str] = getattr(self.cls, "expected_failures", {})
        return found

    # ------------------------------------------------------------------------------------------------------ models

    @property
    def variant(self) -> str:
        """Variant of the small model."""
        return self.place.partition(".")[0]

    @property
    def is_causal(self) -> bool:
        """True if the stack that reads the tokens is causal."""
        return self.variant != "encoder"

    @property
    def config(self) -> dict[str, Any]:
        """Config of the small model with the component; its positions act by hooks that the attention calls."""
        applies = self.cls.position_hooks if self.entry.kind == "attention" else frozenset()
        return {**build_config(self.entry.kind, self.part, self.place), **POSITIONS.get(applies, {})}

    @cached_property
    def model(self) -> Variant:
        """Small model in evaluation mode and float64, with all parameters perturbed; must not be modified."""
        return self.build_model()

    @cached_property
    def meta(self) -> Variant:
        """Small model on the meta device; must not be modified."""
        return self.build_model("meta")

    def copy(self) -> Variant:
        """Returns a copy of the model that may be modified, which is faster than building another."""
        return copy.deepcopy(self.model)

    def build_model(self, device: str = "cpu", **over: Any) -> Variant:
        """Builds the small model anew on ``device``; ``over`` overrides values of its config."""
        with torch.device(device):
            made = build({**self.config, **over}, TOKENS, seed=0).eval().double()
        if device != "meta":
            perturb(made)
        return made

    def make_inputs(self, length: int = LENGTH, *, rows: int = 2, seed: int = 0) -> Inputs:
        """Makes inputs without padding, ``[rows, length]``; the source of an encoder-decoder has ``SOURCE`` tokens."""
        source = draw_tokens(SOURCE, rows, seed + 1) if self.variant == "encoder_decoder" else None
        return Inputs(draw_tokens(length, rows, seed), source=source)

    def can_read(self, length: int) -> bool:
        """True if the model supports rows of ``length`` tokens."""
        return length <= (self.model.limit or length)

    @property
    def max_length(self) -> int:
        """Length of the longest test rows: ``LONG``, or the limit of the model if that is shorter."""
        return min(LONG, self.model.limit or LONG)


def draw_tokens(length: int, rows: int = 2, seed: int = 0) -> Tensor:
    """Draws random token ids ``[rows, length]``, none of them special."""
    return torch.randint(6, TOKENS, (rows, length), generator=torch.Generator().manual_seed(seed))


def perturb(model: nn.Module, seed: int = 0, scale: float = 0.3) -> None:
    """Adds noise to every parameter, since initial values may be zero or one by design."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=scale)


def build_config(kind: str, part: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Builds the config of the small model with ``part``, in all stacks or in one stack of an encoder-decoder."""
    variant, _, stack = place.partition(".")
    if not stack:
        return {"variant": variant, **SMALL, kind: dict(part)}
    cross = {"cross": SMALL["attention"]} if kind == "attention" else {}
    return {"variant": variant, **SMALL, stack: {kind: dict(part)}, **cross}


# --------------------------------------------------------------------------------------------------- all subjects

PLACES = ("decoder", "encoder", "encoder_decoder", "encoder_decoder.decoder", "encoder_decoder.encoder")


def list_places(kind: str, part: Mapping[str, Any]) -> list[str]:
    """Lists the places that accept a component: decoder, encoder, and both stacks of an encoder-decoder or one."""
    found: list[str] = []
    for place in PLACES:
        if "." in place and any(known.startswith("encoder_decoder") for known in found):
            break
        if not find_refusals(kind, part, place):
            found.append(place)
    return found


def find_refusals(kind: str, part: Mapping[str, Any], place: str) -> list[str]:
    """Finds the problems of a component at a place; empty if it is accepted."""
    return check(build_config(kind, part, place))[2]


def list_subjects(entry: Entry) -> Iterator[Subject]:
    """Lists the subjects of a component: its declaration, each place, and each option with other values."""
    plain = {"name": entry.name}
    yield Subject(entry, "declaration", plain)
    if entry.kind in SLOTS:
        found = list_places(entry.kind, plain)
        for place in found:
            yield Subject(entry, "model", plain, place, place == found[0])
        for part, place in _list_option_values(entry, list_alternatives, found):
            yield Subject(entry, "model", part, place)
            yield Subject(entry, "option", part, place)
        for part, place in _list_option_values(entry, list_numbers, found):
            yield Subject(entry, "option", part, place)
    elif entry.kind == "objective":
        for variant, form in sorted(getattr(entry.load(), "combines", ())):
            yield Subject(entry, "objective", plain, f"{variant} with {form}")
    elif not any(option.default is REQUIRED for option in entry.options):
        yield Subject(entry, cast("Scope", entry.kind), plain)


def _list_option_values(
    entry: Entry, values: Callable[[Option], list[Any]], found: list[str]
) -> Iterator[tuple[dict[str, Any], str]]:
    """Yields each value of each option that some place accepts, with the last such place."""
    for option in entry.options:
        for value in values(option):
            part = {"name": entry.name, option.name: value}
            accepted = (place for place in reversed(found) if not find_refusals(entry.kind, part, place))
            if (place := next(accepted, None)) is not None:
                yield part, place


def list_numbers(option: Option) -> list[Any]:
    """Lists a larger and a smaller number than the default of an option; empty for other types."""
    if option.name in TRAINING_ONLY | GUARDS:
        return []
    match option:
        case Option(type=Scalar(type=kind), default=int() | float() as default) if kind in (int, float):
            found = [kind(default * 10 or 0.5 if kind is float else default * 2 or 1), kind(default / 2)]
            return [value for value in found if value != default]
        case Option(type=Record(options=options)):
            return [{inner.name: value} for inner in options for value in list_numbers(inner)]
    return []


def list_alternatives(option: Option) -> list[Any]:
    """Lists other values than the default of an option with a bool, a choice or an optional number."""
    if option.name in TRAINING_ONLY:
        return []
    match option.type:
        case Scalar(type=kind) if kind is bool:
            return [not option.default]
        case Choice(values=words):
            return [word for word in words if word != option.default]
        case Maybe(inner=Scalar(type=kind)):
            return [{int: 3, float: 0.7}[kind]] if kind in (int, float) else []
        case Record(options=options):
            return [{inner.name: value} for inner in options for value in list_alternatives(inner)]
    return []


def build_component(subject: Subject, *given: Any) -> Any:
    """Builds the component of a subject alone, with its options.

    Raises:
        Refused: if the component refuses its options.
    """
    from zoo.registry import get_live_options
    from zoo.registry.options import check_options, construct_options

    problems: list[str] = []
    own = {key: value for key, value in subject.part.items() if key != "name"}
    checked = check_options(subject.entry.options, own, subject.entry.name, problems)
    if problems:
        raise Refused("\n".join(problems))
    return subject.cls(*given, **construct_options(get_live_options(subject.entry.kind, subject.entry.name), checked))

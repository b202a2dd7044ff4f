"""Whole configurations, drawn from what the registry and the signatures say there is; nothing is named here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from zoo.model.build import VARIANTS
from zoo.model.schema import LAYER_OPTIONS, SLOTS, STACKS, list_model_options
from zoo.registry import Entry, get_index
from zoo.registry.options import Choice, Many, Maybe, Option, Record, Scalar

Draw = st.DrawFn
SIZES: dict[str, Any] = {
    "dim": [8, 12, 16],
    "heads": [1, 2, 3, 4],
    "head_dim": [None, None, 4, 6],
    "hidden": [None, 8, 20],
    "layers": [1, 2, 3],
    "vocabulary": [None],
    "dropout": [0.0, 0.1],
}
"""Sizes that are small; every other option of a model is drawn by its type."""


def values(option: Option, draw: Draw) -> Any:
    """A value of an option's type: mostly near its default, at times far from it."""
    return _value(option.type, option.default, draw)


def _value(kind: Any, default: Any, draw: Draw) -> Any:
    match kind:
        case Scalar(type=scalar) if scalar is bool:
            return draw(st.booleans())
        case Scalar(type=scalar) if scalar is int:
            near = [default, 2 * default, default // 2] if isinstance(default, int) else [1]
            return draw(st.sampled_from([*near, 1, 2, 3, 4, 8]))
        case Scalar(type=scalar) if scalar is float:
            near = [default, 2 * default, default / 2] if isinstance(default, float) else [1.0]
            return draw(st.sampled_from([*near, 0.0, 0.1, 1.0, 3.0]))
        case Choice(values=words):
            return draw(st.sampled_from(words))
        case Maybe(inner=inner):
            return None if draw(st.booleans()) else _value(inner, None, draw)
        case Many(inner=inner):
            return [_value(inner, None, draw) for _ in range(draw(st.integers(1, 3)))]
        case Record(options=options):
            return _some(options, draw)
    return default


def _some(options: Any, draw: Draw) -> dict[str, Any]:
    """A few of the options."""
    return {option.name: values(option, draw) for option in options if draw(st.integers(0, 5)) == 0}


def part(kind: str, draw: Draw, suits: Callable[[Any], bool] = lambda cls: True) -> dict[str, Any]:
    """A component of a kind, by name, with some of its options; one in ten is any, the others suit their partners."""
    entries = [get_index().get(kind, name) for name in get_index().get_names(kind)]
    if draw(st.integers(0, 9)):
        entries = [entry for entry in entries if suits(entry.load())] or entries
    entry: Entry = draw(st.sampled_from(entries))
    return {"name": entry.name, **_some(entry.options, draw)}


def parts(slots: list[str], need: str, draw: Draw) -> dict[str, Any]:
    """Components for some slots that mostly go together, by what their classes declare."""
    chosen: dict[str, Any] = {}
    suits: dict[str, Callable[[Any], bool]] = {
        "attention": lambda cls: need in cls.supports and "packed" in cls.supports,
        "ffn": lambda cls: need in cls.supports,
        "position": lambda cls: cls.get_hooks() <= _applied(chosen) | {"embed"},
    }
    for slot in slots:  # attention comes before position
        chosen[slot] = part(slot, draw, suits.get(slot, lambda cls: True))
    return chosen


def _applied(chosen: dict[str, Any]) -> frozenset[str]:
    return _class("attention", chosen["attention"]).position_hooks if "attention" in chosen else frozenset()


def _class(kind: str, chosen: dict[str, Any]) -> Any:
    return get_index().get(kind, chosen["name"]).load()


def _level(options: Any, need: str, draw: Draw) -> dict[str, Any]:
    """Some layer values and some slots, as overlays and exceptions write them."""
    chosen = {option.name: draw(st.sampled_from(SIZES[option.name])) for option in options if draw(st.booleans())}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    return chosen | parts([slot for slot in SLOTS if draw(st.integers(0, 2)) == 0], need, draw)


def exception(need: str, draw: Draw) -> dict[str, Any]:
    """Some layers, and what they have of their own."""
    where: dict[str, Any] = draw(
        st.sampled_from(
            [{"first": 1}, {"last": 1}, {"every": 2}, {"every": 2, "offset": 0}, {"at": [0]}, {"at": [1, 2]}]
        )
    )
    return {**where, **_level(LAYER_OPTIONS, need, draw)}


def model(draw: Draw) -> dict[str, Any]:
    """A model's config."""
    variant = draw(st.sampled_from(sorted(VARIANTS)))
    config: dict[str, Any] = {"variant": variant}
    for option in list_model_options():
        if option.name in SIZES:
            config[option.name] = draw(st.sampled_from(SIZES[option.name]))
        elif option.name != "variant" and draw(st.integers(0, 3)) == 0:
            config[option.name] = values(option, draw)
    need = "full" if variant == "encoder" else "causal"
    config |= parts(list(SLOTS), need, draw)
    exceptions = draw(st.sampled_from([0, 0, 0, 1, 2]))
    config["exceptions"] = {f"number_{i}": exception(need, draw) for i in range(exceptions)}
    if variant == "encoder_decoder":
        needs = {"encoder": "full", "decoder": "causal"}
        config |= {stack: _level(LAYER_OPTIONS, needs[stack], draw) for stack in STACKS if draw(st.booleans())}
        if "full" not in _class("attention", config["attention"]).supports:
            config["encoder"] = {**config.get("encoder", {}), **parts(["attention", "position"], "full", draw)}
        if draw(st.booleans()):
            config["cross"] = part("attention", draw, lambda cls: "cross" in cls.supports)
    return config


@st.composite
def runs(draw: Draw) -> dict[str, Any]:
    """What distinguishes one training from another: model, objective, form of data."""
    drawn = model(draw)
    form = draw(st.sampled_from(["documents", "pairs"]))
    suited = [
        name
        for name in get_index().get_names("objective")
        if (drawn["variant"], form) in get_index().get("objective", name).load().combines  # type: ignore[attr-defined]
    ]
    any_of_them = draw(st.integers(0, 9)) == 0
    name = draw(st.sampled_from(get_index().get_names("objective") if any_of_them or not suited else suited))
    objective = {"name": name, **_some(get_index().get("objective", name).options, draw)}
    return {"model": drawn, "objective": objective, "form": form}

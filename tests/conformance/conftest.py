"""Every registered component, plug-ins included, and its options one at a time; nothing is named here.

A test that asks for ``entry`` runs once for each component, one that asks for ``case`` once for each component of a
model and each of its options, and one that asks for ``variant`` once for each variant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch

from zoo.build import VARIANTS, build
from zoo.checks import Refused
from zoo.options import Choice, Maybe, Option, Record, Scalar
from zoo.registry import Entry, index
from zoo.schema import SLOTS
from zoo.variants.variant import Variant

RANDOM = {"dropout"}  # what they do is seen in training only


class Case(NamedTuple):
    """A component and what was written for it."""

    entry: Entry
    part: dict[str, Any]

    @property
    def plain(self) -> bool:
        return len(self.part) == 1


def others(option: Option) -> list[Any]:
    """Values of an option that are not its default."""
    match option.type:
        case Scalar(type=kind) if kind is bool:
            return [not option.default]
        case Choice(values=values):
            return [value for value in values if value != option.default]
        case Maybe(inner=Scalar(type=kind)):
            return {int: [3], float: [0.7]}.get(kind, [])
        case Record(options=options):
            return [{inner.name: value} for inner in options if inner.name not in RANDOM for value in others(inner)]
    return []


def cases(entry: Entry) -> Iterator[Case]:
    yield Case(entry, {"name": entry.name})
    for option in entry.options:
        for value in others(option):
            yield Case(entry, {"name": entry.name, option.name: value})


def label(case: Case) -> str:
    options = ",".join(f"{k}={v}" for k, v in case.part.items() if k != "name")
    return f"{case.entry.kind}/{case.entry.name}" + (f"({options})" if options else "")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    entries = list(index().entries.values())
    if "entry" in metafunc.fixturenames:
        metafunc.parametrize("entry", entries, ids=[f"{entry.kind}/{entry.name}" for entry in entries])
    if "case" in metafunc.fixturenames:
        found = [case for entry in entries if entry.kind in SLOTS for case in cases(entry)]
        if metafunc.definition.get_closest_marker("defaults"):
            found = [case for case in found if case.plain]
        metafunc.parametrize("case", found, ids=[label(case) for case in found])
    if "variant" in metafunc.fixturenames:
        asked = metafunc.definition.get_closest_marker("variants")
        metafunc.parametrize("variant", asked.args if asked else list(VARIANTS))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "defaults: cases without options only")
    config.addinivalue_line("markers", "variants: these variants only")


@pytest.fixture
def config(case: Case, variant: str, tiny: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """The small base model with the case in its slot; a pair that means nothing is not tested further."""
    return tiny(variant, **{case.entry.kind: case.part})


@pytest.fixture
def model(config: dict[str, Any], built: Callable[..., Variant]) -> Variant:
    """Its model in eval and float64, every parameter random; not to be changed."""
    try:
        return built(**config).double()
    except Refused as refusal:
        pytest.skip(f"refused: {refusal}")


@pytest.fixture
def fresh(config: dict[str, Any], model: Variant, lively: Callable[..., None]) -> Callable[..., Variant]:
    """Another such model, to be changed, on any device."""

    def make(device: str = "cpu") -> Variant:
        with torch.device(device):
            made = build(config, 32, seed=0).eval().double()
        if device != "meta":
            lively(made)
        return made

    return make

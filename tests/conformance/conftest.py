"""Every registered component, plug-ins included, and its options one at a time; nothing is named here.

A test that asks for ``entry`` runs once for each component, one that asks for ``case`` and ``variant`` once for each
component of a model in each variant, and once for each value of its options in the last variant.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import torch

from tests.conftest import tiny_config
from zoo.build import VARIANTS, build, check
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
    asked = metafunc.definition.get_closest_marker("variants")
    variants = list(asked.args if asked else VARIANTS)
    if "case" in metafunc.fixturenames:
        plain_only = metafunc.definition.get_closest_marker("defaults") is not None
        found = [case for entry in entries if entry.kind in SLOTS for case in cases(entry)]
        pairs = [
            (case, variant)
            for case in found
            for variant in (variants if case.plain else variants[-1:])
            if (case.plain or not plain_only) and accepted(case, variant)
        ]
        metafunc.parametrize(("case", "variant"), pairs, ids=[f"{label(case)}-{variant}" for case, variant in pairs])
    elif "variant" in metafunc.fixturenames:
        metafunc.parametrize("variant", variants)


@functools.cache
def problems(slot: str, part: str, variant: str) -> list[str]:
    return check(tiny_config(variant, **{slot: ast.literal_eval(part)}))[2]


def accepted(case: Case, variant: str) -> bool:
    """Whether the small base model takes the case; that the others are refused with a reason has its own test."""
    return not problems(case.entry.kind, repr(case.part), variant)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "defaults: cases without options only")
    config.addinivalue_line("markers", "variants: these variants only")


@pytest.fixture
def config(case: Case, variant: str, tiny: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """The small base model with the case in its slot."""
    return tiny(variant, **{case.entry.kind: case.part})


@pytest.fixture
def model(config: dict[str, Any], built: Callable[..., Variant]) -> Variant:
    """Its model in eval and float64, every parameter random; not to be changed."""
    return built(**config).double()


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

"""Facts about a component beyond its signature: the components it can be combined with, and its cost.

Nothing is listed by hand: ``zoo.model.build.check`` decides which components are compatible, on small models that
differ from a baseline in these components only; costs are measured for one layer on the meta device.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch

from zoo.model.build import check
from zoo.model.cost import build_on_meta, measure_cache_growth
from zoo.model.footprint import measure_caches
from zoo.model.inputs import Inputs
from zoo.model.interfaces import Component, Norm
from zoo.model.mask import Mask, Tokens
from zoo.model.schema import SLOTS
from zoo.model.variants.variant import Variant
from zoo.registry import Entry, get_index

DIM, HEADS, HEAD_DIM, HIDDEN, LENGTH = 256, 4, 64, 1024, 512
PLAIN = {"attention": "multi_head", "ffn": "mlp", "norm": "layer", "position": "none", "residual": "pre"}
SIZE = {"dim": DIM, "heads": HEADS, "head_dim": HEAD_DIM, "hidden": HIDDEN, "layers": 1}
PLACES = ("decoder", "encoder", "encoder of an encoder-decoder", "decoder of an encoder-decoder", "cross-attention")
"""Places of a model in which a component is tried; the last one takes attention only."""
_LENGTHS = (256, 512, 768, 1024)
"""Lengths of a row at which operations are counted, to fit a polynomial."""


def list_entries(kind: str, plugins: Collection[str] = ()) -> list[Entry]:
    """Returns the components of a kind that are part of zoo or of the distributions ``plugins``, sorted by name."""
    found = [entry for entry in get_index().entries.values() if entry.kind == kind]
    chosen = (entry for entry in found if entry.distribution in plugins or _is_built_in(entry))
    return sorted(chosen, key=lambda entry: entry.name)


def _is_built_in(entry: Entry) -> bool:
    return entry.distribution is None and entry.module.startswith("zoo.")


def list_places(kind: str) -> tuple[str, ...]:
    """Returns the places in which components of a kind are tried."""
    return PLACES if kind == "attention" else PLACES[:-1]


def find_conflict(place: str, *chosen: tuple[str, str]) -> str | None:
    """Returns why components cannot be used together at a place, or None if they can.

    Args:
        place: one of :data:`PLACES`.
        *chosen: kind and name of each component; the rest of the model is the baseline.
    """
    return _find_conflict(place, tuple(sorted(chosen)))


@functools.cache
def _find_conflict(place: str, chosen: tuple[tuple[str, str], ...]) -> str | None:
    _, _, problems = check(_build_config(place, dict(chosen)))
    return "; ".join(dict.fromkeys(line.split(": ", 1)[1] for line in problems)) or None


def _build_config(place: str, chosen: dict[str, str]) -> dict[str, Any]:
    plain = {slot: {"name": name} for slot, name in PLAIN.items()}
    parts = {slot: {"name": name} for slot, name in chosen.items()}
    if place in ("decoder", "encoder"):
        return {"variant": place, **SIZE, **plain, **parts}
    cross = {"name": PLAIN["attention"]}
    both = {"variant": "encoder_decoder", **SIZE, **plain, "cross": cross}
    if place == PLACES[-1]:
        return {**both, "cross": parts["attention"]}
    return {**both, place.split()[0]: parts}


@functools.cache
def find_place(*chosen: tuple[str, str]) -> str | None:
    """Returns the first place that accepts each of these components on its own; None if no place accepts them all."""
    return next((place for place in PLACES[:4] if all(find_conflict(place, one) is None for one in chosen)), None)


def find_pair_conflict(one: tuple[str, str], other: tuple[str, str]) -> str | None:
    """Returns why two components cannot share a layer though each is accepted on its own, or None."""
    place = find_place(one, other)
    return None if place is None else find_conflict(place, one, other)


def find_conflicting_partners(entry: Entry) -> Iterator[tuple[str, str, str]]:
    """Yields kind, name and reason for every component that cannot share a layer with this one."""
    for kind in SLOTS:
        for partner in list_entries(kind) if kind != entry.kind else ():
            if reason := find_pair_conflict((entry.kind, entry.name), (kind, partner.name)):
                yield kind, partner.name, reason


@dataclass(frozen=True)
class ComponentCost:
    """Cost of a component at the reference size.

    Args:
        parameters: parameters of the component, without those of the norms passed to it.
        active: parameters that take part in the computation of a token.
        flops: forward operations per token of a row.
        formula: forward operations for a row of length L, where they are a polynomial of degree two; otherwise empty.
        cache: bytes of the cache after a row; None for components that do not decode.
        cache_per_token: bytes that each additional token adds to the cache.
        state: bytes of ``cache`` in recurrent states, as opposed to tensors along the sequence.
    """

    parameters: int
    active: int
    flops: int
    formula: str
    cache: int | None
    cache_per_token: int
    state: int


def measure_cost(entry: Entry) -> ComponentCost | None:
    """Measures the cost of a component in one layer; None for ``none`` and for components that no place accepts."""
    place = find_place((entry.kind, entry.name))
    if place is None:
        return None
    _, plan, _ = check(_build_config(place, {entry.kind: entry.name}))
    if plan is None:
        return None
    model = build_on_meta(plan, 1)
    part = next((item for item in model.list_components() if type(item) is entry.load()), None)
    if part is None or part.is_none:
        return None
    norms = [item for item in part.modules() if isinstance(item, Norm) and item is not part]
    given = sum(p.numel() for norm in norms for p in norm.parameters())
    parameters = sum(p.numel() for p in part.parameters()) - given
    causal = place.startswith("decoder")
    cache, more, state = _measure_cache(model) if entry.kind == "attention" and place == "decoder" else (None, 0, 0)
    flops = [_count_flops(part, length, causal) for length in _LENGTHS]
    per_token = round(flops[_LENGTHS.index(LENGTH)] / LENGTH)
    return ComponentCost(
        parameters, part.count_active_parameters() - given, per_token, _fit_polynomial(flops), cache, more, state
    )


def _count_flops(part: Component, length: int, causal: bool) -> int:
    tokens = Tokens.from_length(length)
    return part.flops(Mask(tokens, tokens, causal=causal))


@torch.no_grad()
def _measure_cache(model: Variant) -> tuple[int, int, int]:
    """Returns the bytes of the only layer's cache, of an additional token, and of its state.

    A state is allocated with the first token, so one decoding step shows it.
    """
    whole = measure_caches(model, LENGTH, 0)
    (begun,) = model.reader.create_caches(LENGTH)
    model.eval().compute_hidden(Inputs(torch.zeros(1, 1, dtype=torch.long, device="meta")), [begun])
    state = begun.attention.state if begun.attention is not None else ()
    more = measure_cache_growth(model, whole, LENGTH, 0)
    return sum(whole.values()), sum(more.values()), sum(item.numel() * item.element_size() for item in state)


def _fit_polynomial(values: list[int]) -> str:
    """Formats ``a L + b L²`` through the values at ``_LENGTHS``; empty unless a and b are integers or half-integers."""
    (x, y, *_), (f, g, *_) = _LENGTHS, values
    b = (Fraction(g, y) - Fraction(f, x)) / (y - x)
    a = Fraction(f, x) - b * x
    fits = all(a * length + b * length**2 == value for length, value in zip(_LENGTHS, values, strict=True))
    if not fits or max(a.denominator, b.denominator) > 2 or not any(values):
        return ""
    terms = [f"{_format_number(factor)} {power}" for factor, power in ((a, "L"), (b, "L²")) if factor]
    return " + ".join(terms).replace("+ -", "− ")


def _format_number(value: Fraction) -> str:
    return f"{float(value):,.1f}" if value.denominator == 2 else f"{int(value):,}"

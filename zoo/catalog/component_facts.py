"""Facts about a component beyond its signature: which parts it combines with, and what it costs.

Nothing is listed by hand: ``zoo.model.build.check`` decides which parts go together, on small models that differ from a
plain one in these parts; costs are those of one layer on the meta device.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch

from zoo.model.build import check
from zoo.model.cost import further, on_meta
from zoo.model.footprint import caches
from zoo.model.interfaces import Component, Inputs, Norm
from zoo.model.mask import Mask, Tokens
from zoo.model.schema import SLOTS
from zoo.model.variants.variant import Variant
from zoo.registry import Entry, index

DIM, HEADS, HEAD_DIM, HIDDEN, LENGTH = 256, 4, 64, 1024, 512
PLAIN = {"attention": "multi_head", "ffn": "mlp", "norm": "layer", "position": "none", "residual": "pre"}
SIZE = {"dim": DIM, "heads": HEADS, "head_dim": HEAD_DIM, "hidden": HIDDEN, "layers": 1}
PLACES = ("decoder", "encoder", "encoder of an encoder-decoder", "decoder of an encoder-decoder", "cross-attention")
"""Where a part may stand; the last is for attention."""
_FOLLOWED = (256, 512, 768, 1024)


def entries(kind: str) -> list[Entry]:
    """The components of a kind that come with zoo, by name."""
    found = [entry for entry in index().entries.values() if entry.kind == kind and entry.distribution is None]
    return sorted((entry for entry in found if entry.module.startswith("zoo.")), key=lambda entry: entry.name)


def places(kind: str) -> tuple[str, ...]:
    """Where components of a kind may stand."""
    return PLACES if kind == "attention" else PLACES[:-1]


def refusal(place: str, *chosen: tuple[str, str]) -> str | None:
    """Why components, by kind and name, cannot stand there together in a model that is plain otherwise, or None."""
    return _refusal(place, tuple(sorted(chosen)))


@functools.cache
def _refusal(place: str, chosen: tuple[tuple[str, str], ...]) -> str | None:
    _, _, problems = check(_config(place, dict(chosen)))
    return "; ".join(dict.fromkeys(line.split(": ", 1)[1] for line in problems)) or None


def _config(place: str, chosen: dict[str, str]) -> dict[str, Any]:
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
def home(*chosen: tuple[str, str]) -> str | None:
    """The first place where each of these components can stand for itself; None if there is none for all."""
    return next((place for place in PLACES[:4] if all(refusal(place, one) is None for one in chosen)), None)


def together(one: tuple[str, str], other: tuple[str, str]) -> str | None:
    """Why two components cannot stand in one layer although each can alone, or None."""
    place = home(one, other)
    return None if place is None else refusal(place, one, other)


def refused_partners(entry: Entry) -> Iterator[tuple[str, str, str]]:
    """Kind, name and reason of every component that cannot stand in a layer with this one."""
    for kind in SLOTS:
        for partner in entries(kind) if kind != entry.kind else ():
            if reason := together((entry.kind, entry.name), (kind, partner.name)):
                yield kind, partner.name, reason


@dataclass(frozen=True)
class Price:
    """What a component costs at the reference size.

    Args:
        parameters: of the component, without those of norms that it is given.
        active: those that take part in a token's computation.
        flops: forward operations for each token of a row.
        formula: forward operations of a row by its length L, where they are a polynomial of second degree; else empty.
        cache: bytes remembered of a row; None where nothing is decoded.
        further: bytes that a further token adds.
        state: bytes of ``cache`` that are a state, not tensors along the sequence.
    """

    parameters: int
    active: int
    flops: int
    formula: str
    cache: int | None
    further: int
    state: int


def price(entry: Entry) -> Price | None:
    """The cost of a component in one layer; None for one that is not there (``none``) or fits nowhere."""
    place = home((entry.kind, entry.name))
    if place is None:
        return None
    _, plan, _ = check(_config(place, {entry.kind: entry.name}))
    if plan is None:
        return None
    model = on_meta(plan, 1)
    part = next((item for item in model.components() if type(item) is entry.load()), None)
    if part is None or part.absent:
        return None
    norms = [item for item in part.modules() if isinstance(item, Norm) and item is not part]
    given = sum(p.numel() for norm in norms for p in norm.parameters())
    parameters = sum(p.numel() for p in part.parameters()) - given
    causal = place.startswith("decoder")
    cache, more, state = _remembered(model) if entry.kind == "attention" and place == "decoder" else (None, 0, 0)
    flops = [_flops(part, length, causal) for length in _FOLLOWED]
    per_token = round(flops[_FOLLOWED.index(LENGTH)] / LENGTH)
    return Price(parameters, part.active() - given, per_token, _polynomial(flops), cache, more, state)


def _flops(part: Component, length: int, causal: bool) -> int:
    tokens = Tokens.row(length)
    return part.flops(Mask(tokens, tokens, causal=causal))


@torch.no_grad()
def _remembered(model: Variant) -> tuple[int, int, int]:
    """Bytes of the only layer's cache, of a further token, and of its state, which is there from the first token on."""
    whole = caches(model, LENGTH, 0)
    (begun,) = model.reader.new_caches(LENGTH)
    model.eval().hidden(Inputs(torch.zeros(1, 1, dtype=torch.long, device="meta")), [begun])
    state = begun.own.state if begun.own is not None else ()
    more = further(model, whole, LENGTH, 0)
    return sum(whole.values()), sum(more.values()), sum(item.numel() * item.element_size() for item in state)


def _polynomial(values: list[int]) -> str:
    """``a L + b L²`` through the values at the followed lengths, if there is one with whole or half numbers."""
    (x, y, *_), (f, g, *_) = _FOLLOWED, values
    b = (Fraction(g, y) - Fraction(f, x)) / (y - x)
    a = Fraction(f, x) - b * x
    fits = all(a * length + b * length**2 == value for length, value in zip(_FOLLOWED, values, strict=True))
    if not fits or max(a.denominator, b.denominator) > 2 or not any(values):
        return ""
    terms = [f"{_number(factor)} {power}" for factor, power in ((a, "L"), (b, "L²")) if factor]
    return " + ".join(terms).replace("+ -", "− ")


def _number(value: Fraction) -> str:
    return f"{float(value):,.1f}" if value.denominator == 2 else f"{int(value):,}"

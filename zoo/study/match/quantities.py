"""What settings cost, on the rows that their data and objective make; measured without memory for weights."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field

import torch

from zoo.checks import Refused
from zoo.config.checking import CheckedConfig, make_objective
from zoo.model.cost import Cost, cache_bytes, cost, on_meta
from zoo.model.executed_flops import executed_flops_per_token
from zoo.model.plan import ModelPlan
from zoo.training.batches import Share, ValidationViews
from zoo.training.run import prepare_data


@dataclass(frozen=True)
class Shape:
    """Of the first batch of the validation split, on which results tell their cost too.

    Args:
        vocabulary: tokens of the data.
        length: tokens of a row in the reading stack.
        source: tokens of a row in the encoder of an encoder-decoder, else 0.
        validation: rows of the validation split.
    """

    vocabulary: int
    length: int
    source: int
    validation: int

    @property
    def tokens(self) -> int:
        """That a model reads of one row."""
        return self.length + self.source


@dataclass(frozen=True)
class _Model:
    """A plan, told apart from others by the config that it was made from."""

    config: str
    vocabulary: int
    length: int
    source: int
    plan: ModelPlan = field(compare=False)


_shapes: dict[str, Shape] = {}


def shape(checked: CheckedConfig) -> Shape:
    """Of the rows of a checked config; the data are tokenized if they are not yet.

    Raises:
        Refused: for what is wrong with the data.
    """
    config = checked.config
    keys = [config["data"], config["objective"], config["model"]["variant"], config["batch"], config["cache"]]
    known = json.dumps(keys, sort_keys=True)
    if known not in _shapes:
        _shapes[known] = _shape(checked)
    return _shapes[known]


def _shape(checked: CheckedConfig) -> Shape:
    prepared = prepare_data(checked.config)
    with torch.random.fork_rng():
        objective = make_objective(checked.config, prepared.vocabulary)
    inputs = ValidationViews(prepared.validation, objective, checked.config["batch"], Share())[0].inputs
    source = 0 if inputs.source is None else inputs.source.shape[1]
    return Shape(prepared.vocabulary.size, inputs.tokens.shape[1], source, len(prepared.validation))


def costs(checked: CheckedConfig) -> Cost:
    """Parameters and operations of a checked config, as its result will tell them."""
    return _cost(_model(checked))


def executed(checked: CheckedConfig) -> int | None:
    """Operations that the implementation executes in training, for each token read; None where they are not known."""
    return _executed(_model(checked))


def train_tokens(checked: CheckedConfig) -> int:
    """Tokens that a run reads, padding included."""
    config = checked.config
    return int(shape(checked).tokens * config["batch"] * config["accumulate"] * config["steps"])


def measure(checked: CheckedConfig, quantity: str) -> int:
    """One of ``QUANTITIES``: parameters, operations, or bytes that decoding remembers of a row (none in an encoder).

    Raises:
        Refused: for what is wrong with the data, or if the model cannot be made for them.
    """
    if quantity == "cache_bytes":
        return _cache_bytes(_model(checked))
    if quantity == "train_flops":
        return costs(checked).flops_per_token * train_tokens(checked)
    return int(getattr(costs(checked), quantity))


def _model(checked: CheckedConfig) -> _Model:
    if checked.plan is None:
        raise Refused("model: must be given")
    rows = shape(checked)
    config = json.dumps(checked.config["model"], sort_keys=True)
    return _Model(config, rows.vocabulary, rows.length, rows.source, checked.plan)


@functools.cache
def _cost(model: _Model) -> Cost:
    return cost(on_meta(model.plan, model.vocabulary), model.length, model.source)


@functools.cache
def _executed(model: _Model) -> int | None:
    return executed_flops_per_token(on_meta(model.plan, model.vocabulary), model.length, model.source)


@functools.cache
def _cache_bytes(model: _Model) -> int:
    return cache_bytes(on_meta(model.plan, model.vocabulary), model.length, model.source)

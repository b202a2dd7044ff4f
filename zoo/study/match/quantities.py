"""What settings cost, on the rows that their data and objective make; measured without memory for weights."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field

import torch

from zoo.checks import Refused
from zoo.config.checking import CheckedConfig, make_objective
from zoo.model.cost import Cost, build_on_meta, compute_cost, measure_cache_bytes
from zoo.model.executed_flops import measure_executed_flops_per_token
from zoo.model.plan import ModelPlan
from zoo.training.batches import Share, ValidationViews
from zoo.training.run import prepare_data


@dataclass(frozen=True)
class RowShape:
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
class _CostKey:
    """A plan, told apart from others by the config that it was made from."""

    config: str
    vocabulary: int
    length: int
    source: int
    plan: ModelPlan = field(compare=False)


_shapes: dict[str, RowShape] = {}


def measure_row_shape(checked: CheckedConfig) -> RowShape:
    """Of the rows of a checked config; the data are tokenized if they are not yet.

    Raises:
        Refused: for what is wrong with the data.
    """
    config = checked.config
    sections = [config.data.as_mapping(), config.objective.as_mapping()]
    keys = [*sections, config.model.variant, config.batch, config.cache]
    known = json.dumps(keys, sort_keys=True)
    if known not in _shapes:
        _shapes[known] = _measure_row_shape(checked)
    return _shapes[known]


def _measure_row_shape(checked: CheckedConfig) -> RowShape:
    prepared = prepare_data(checked.config)
    with torch.random.fork_rng():
        objective = make_objective(checked.config, prepared.vocabulary)
    inputs = ValidationViews(prepared.validation, objective, checked.config.batch, Share())[0].inputs
    source = 0 if inputs.source is None else inputs.source.shape[1]
    return RowShape(prepared.vocabulary.size, inputs.tokens.shape[1], source, len(prepared.validation))


def measure_cost(checked: CheckedConfig) -> Cost:
    """Parameters and operations of a checked config, as its result will tell them."""
    return _measure_cost(_build_key(checked))


def count_executed_flops(checked: CheckedConfig) -> int | None:
    """Operations that the implementation executes in training, for each token read; None where they are not known."""
    return _count_executed_flops(_build_key(checked))


def count_train_tokens(checked: CheckedConfig) -> int:
    """Tokens that a run reads, padding included."""
    config = checked.config
    return measure_row_shape(checked).tokens * config.batch * config.accumulate * config.steps


def measure_quantity(checked: CheckedConfig, quantity: str) -> int:
    """One of ``QUANTITIES``: parameters, operations, or bytes that decoding remembers of a row (none in an encoder).

    Raises:
        Refused: for what is wrong with the data, or if the model cannot be made for them.
    """
    if quantity == "cache_bytes":
        return _measure_cache_bytes(_build_key(checked))
    if quantity == "train_flops":
        return measure_cost(checked).flops_per_token * count_train_tokens(checked)
    return int(getattr(measure_cost(checked), quantity))


def _build_key(checked: CheckedConfig) -> _CostKey:
    if checked.plan is None:
        raise Refused("model: must be given")
    rows = measure_row_shape(checked)
    config = json.dumps(checked.config.model.as_mapping(), sort_keys=True)
    return _CostKey(config, rows.vocabulary, rows.length, rows.source, checked.plan)


@functools.cache
def _measure_cost(model: _CostKey) -> Cost:
    return compute_cost(build_on_meta(model.plan, model.vocabulary), model.length, model.source)


@functools.cache
def _count_executed_flops(model: _CostKey) -> int | None:
    return measure_executed_flops_per_token(build_on_meta(model.plan, model.vocabulary), model.length, model.source)


@functools.cache
def _measure_cache_bytes(model: _CostKey) -> int:
    return measure_cache_bytes(build_on_meta(model.plan, model.vocabulary), model.length, model.source)

"""Costs of settings on the rows of their data and objective, measured without allocating weights."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field

import torch

from zoo.checks import Refused
from zoo.config.checking import CheckedConfig
from zoo.config.data_and_objective import make_objective
from zoo.model.cost import Cost, build_on_meta, compute_cost, measure_cache_bytes
from zoo.model.executed_flops import measure_executed_flops_per_token
from zoo.model.plan import ModelPlan
from zoo.training.batches import Share, ValidationViews
from zoo.training.run import prepare_data


@dataclass(frozen=True)
class RowShape:
    """Shape of the first batch of the validation split, for which results state their cost, too.

    Args:
        vocabulary: Number of tokens in the vocabulary of the data.
        length: Tokens of a row in the decoder, or in the only stack.
        source: Tokens of a row in the encoder of an encoder-decoder, else 0.
        validation: Rows of the validation split.
    """

    vocabulary: int
    length: int
    source: int
    validation: int

    @property
    def tokens(self) -> int:
        """Tokens of a row in all stacks."""
        return self.length + self.source


@dataclass(frozen=True)
class _CostKey:
    """Cache key of a cost: a plan, compared by the config that it was made from."""

    config: str
    vocabulary: int
    length: int
    source: int
    plan: ModelPlan = field(compare=False)


_shapes: dict[str, RowShape] = {}


def measure_row_shape(checked: CheckedConfig) -> RowShape:
    """Measures the shape of the rows of a checked config; tokenizes the data if necessary.

    Raises:
        Refused: If the data cannot be prepared.
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
    """Measures the parameters and FLOPs of a checked config, as its result will state them."""
    return _measure_cost(_build_key(checked))


def count_executed_flops(checked: CheckedConfig) -> int | None:
    """Counts the FLOPs that the implementation executes per token in training; None where they are unknown."""
    return _count_executed_flops(_build_key(checked))


def count_train_tokens(checked: CheckedConfig) -> int:
    """Counts the tokens that a run reads, including padding."""
    config = checked.config
    return measure_row_shape(checked).tokens * config.batch * config.accumulate * config.steps


def measure_quantity(checked: CheckedConfig, quantity: str) -> int:
    """Measures one of ``QUANTITIES``: parameters, FLOPs, or bytes of the cache of a row (0 in an encoder).

    Raises:
        Refused: If the data cannot be prepared, or the model cannot be built for them.
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

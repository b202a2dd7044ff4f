"""An untrained model from a config or from overrides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from zoo.checks import Refused
from zoo.config.checking import check_run
from zoo.config.compose import compose_run
from zoo.model.variants.variant import Variant
from zoo.runs.run_config import RunConfig
from zoo.training.initial_model import build_initial_model
from zoo.training.random_streams import derive_seed
from zoo.training.run import prepare_data


def build(*config: str | RunConfig | Mapping[str, Any]) -> Variant:
    """Builds the model of a config with the weights that its training starts from.

    Args:
        config: overrides as of ``zoo train``, such as ``"model=gpt/tiny", "model.dim=64"``; or one complete
            config, typed (``RunResult.config``) or as a mapping.
    Returns:
        a module whose vocabulary is ``model.vocabulary`` if that is set, else that of the data, which are tokenized for
        it. With ``model=hub`` its weights are those of the checkpoint.
    Raises:
        Refused: with every problem of the config, one a line.
    """
    checked = check_run(_compose(*config), was_trained=lambda checked: True)  # so that no trainer is made
    checked.require()
    if checked.plan is None:
        raise Refused("model: must be given")
    size = checked.plan.vocabulary or prepare_data(checked.config).vocabulary.size
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(checked.config.seed, "weights"))
        return build_initial_model(checked, size)


def _compose(*config: str | RunConfig | Mapping[str, Any]) -> Mapping[str, Any]:
    if len(config) == 1 and not isinstance(config[0], str):
        return config[0].as_mapping() if isinstance(config[0], RunConfig) else config[0]
    overrides = [each for each in config if isinstance(each, str)]
    if len(overrides) < len(config):
        raise Refused("build takes overrides, or one config: got both")
    return compose_run(overrides)

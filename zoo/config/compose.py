"""Composition of configs with Hydra, and translation of its errors to messages of one line."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zoo.checks import Refused
from zoo.config.classify_overrides import find_problem, is_component, is_value
from zoo.config.config_store import publish
from zoo.config.groups import list_slots
from zoo.config.overrides import parse_word
from zoo.model.schema import carry_options, overlay_part
from zoo.registry import Index, get_index
from zoo.system.installation import find_package_folder


class _Composer:
    """Composes many training configs quickly.

    Hydra composes once per set of presets, because that takes most of the time. In a copy, chosen components are put
    into their slots, with the options that they share with the component of the preset; then values are overridden by
    Hydra's own function. Every override is parsed once.
    """

    def __init__(self) -> None:
        self._parser = OverridesParser.create()
        self._parsed: dict[str, tuple[Override | None, str | None]] = {}
        self._preset: dict[tuple[str, ...], DictConfig] = {}

    def __call__(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Composes a config, which is not checked yet.

        Raises:
            Refused: with every override that cannot be applied, one per line.
        """
        problems = self.find_problems(overrides)
        given = self._compose([line for line in overrides if line not in problems])
        if problems:
            raise Refused("\n".join([*problems.values(), *_find_further_problems(given, problems)]))
        return given

    def find_problems(self, overrides: Sequence[str]) -> dict[str, str]:
        """Finds overrides that Hydra cannot apply; returns the reason for each."""
        return {line: problem for line in overrides if (problem := self._parse(line)[1])}

    def _parse(self, line: str) -> tuple[Override | None, str | None]:
        if line not in self._parsed:
            try:
                override = parse_word(line, self._parser)
                self._parsed[line] = override, find_problem(override)
            except Refused as error:
                self._parsed[line] = None, str(error)
        return self._parsed[line]

    def _compose(self, overrides: Sequence[str]) -> dict[str, Any]:
        try:
            preset, components, values = self._compose_presets(overrides)
            config = copy.deepcopy(preset)
            for slot, part in _swap_components(config, components).items():
                OmegaConf.update(config, slot, part, merge=False, force_add=True)
            ConfigLoaderImpl._apply_overrides_to_config(values, config)
        except (HydraException, OmegaConfBaseException) as error:
            raise Refused(shorten_error(error)) from None
        return to_plain(config)

    def _compose_presets(self, overrides: Sequence[str]) -> tuple[DictConfig, list[Override], list[Override]]:
        """Composes presets; returns their config, which is shared, and the overrides of components and of values."""
        parsed = [override for line in overrides if (override := self._parse(line)[0]) is not None]
        values = [override for override in parsed if is_value(override)]
        components = [override for override in parsed if is_component(override)]
        presets = tuple(str(each.input_line) for each in parsed if each not in values and each not in components)
        if presets not in self._preset:
            self._preset[presets] = _compose_with_hydra(presets)
        return self._preset[presets], components, values

    def find_carried(self, overrides: Sequence[str]) -> dict[str, Any]:
        """Finds options of preset components that carry over to the components chosen instead, by dotted key."""
        problems = self.find_problems(overrides)
        try:
            config, components, _ = self._compose_presets([line for line in overrides if line not in problems])
        except (HydraException, OmegaConfBaseException):  # reported where the config is composed
            return {}
        parts = _swap_components(config, components).items()
        return {f"{slot}.{key}": value for slot, part in parts for key, value in part.items() if key != "name"}


def find_override_problems(overrides: Sequence[str]) -> dict[str, str]:
    """Finds overrides that Hydra cannot apply; returns the reason for each."""
    return _get_composer().find_problems(overrides)


def find_carried_options(overrides: Sequence[str]) -> dict[str, Any]:
    """Finds options that :func:`compose_run` carries over from presets, by dotted key, to pass them to Hydra."""
    return _get_composer().find_carried(overrides)


def _swap_components(config: DictConfig, components: Sequence[Override]) -> dict[str, dict[str, Any]]:
    """Builds the chosen components by dotted slot, with the options carried over from the previous component."""
    kinds, parts = dict(list_slots()), {}
    for override in components:
        group, name = override.key_or_group, str(override.value())
        slot = group.replace("/", ".")
        old = _get_part(config, slot) or (_derive_cross_attention(config) if group == "model/cross" else {})
        parts[slot] = {"name": name, **carry_options(kinds[group], old, name)}
    return parts


def _get_part(config: DictConfig, slot: str) -> dict[str, Any]:
    """Gets the component in a slot, with unresolved interpolations; empty if there is none."""
    found = OmegaConf.select(config, slot)
    container = OmegaConf.to_container(found) if isinstance(found, DictConfig) else None
    return {str(key): value for key, value in container.items()} if isinstance(container, dict) else {}


def _derive_cross_attention(config: DictConfig) -> dict[str, Any]:
    """Derives unset cross-attention from the attention of the decoder, without its window."""
    own = _get_part(config, "model.decoder.attention")
    attention = overlay_part("attention", _get_part(config, "model.attention"), own)
    if isinstance(scores := attention.get("scores"), dict):
        attention["scores"] = {key: value for key, value in scores.items() if key != "window"}
    return attention


def compose_run(overrides: Sequence[str]) -> dict[str, Any]:
    """Composes the config of a training, which is not checked yet.

    Args:
        overrides: words of the command line, such as ``model=gpt2``.
    Raises:
        Refused: with every override that cannot be applied, one per line.
    """
    for line in overrides:
        if not isinstance(line, str):  # from Python, where types are not enforced
            raise Refused(f"overrides must be strings, such as 'model=gpt', 'steps=20': got {line!r}")
    return _get_composer()(overrides)


def _get_composer() -> _Composer:
    return _create_composer(get_index(), GlobalHydra.instance().hydra)


@functools.lru_cache(maxsize=4)
def _create_composer(known: Index, within: Hydra | None) -> _Composer:
    """Creates a composer for the same components, outside of Hydra or within one Hydra command."""
    publish()
    return _Composer()


def _find_further_problems(given: dict[str, Any], unapplied: Mapping[str, str]) -> list[str]:
    """Finds other problems, except in slots whose choice failed, because their options belong to another component."""
    from zoo.config.checking import check_run

    slots = tuple(line.split("=")[0].lstrip("+~").replace("/", ".") + "." for line in unapplied)
    return [problem for problem in check_run(given).problems if not problem.startswith(slots)]


def _compose_with_hydra(presets: Sequence[str]) -> DictConfig:
    if GlobalHydra.instance().is_initialized():  # inside a sweep, which shares the config store
        return compose("train", overrides=list(presets))
    with initialize_config_dir(str(find_package_folder("conf")), version_base="1.3"):
        return compose("train", overrides=list(presets))


def to_plain(config: DictConfig) -> dict[str, Any]:
    """Converts a composed config to plain values, with interpolations resolved."""
    try:
        container = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise Refused(shorten_error(error)) from None
    return {str(key): value for key, value in container.items()} if isinstance(container, dict) else {}


def shorten_error(error: Exception) -> str:
    """Shortens an error of Hydra or OmegaConf to its first line, with the key it concerns."""
    if not str(error) and isinstance(error.__cause__, Exception):
        return shorten_error(error.__cause__)
    key = getattr(error, "full_key", None)
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return f"{key}: {first}" if key and key not in first else first

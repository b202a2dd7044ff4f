"""Composition of configs with Hydra, and translation of its errors to messages of one line.

A component is published as an open node ``{name: …}`` that first empties its slot. Hydra does not check the other keys
of the node: :mod:`zoo.config.checking` checks the composed config.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType, ValueType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from zoo.checks import Refused, suggest
from zoo.config.groups import list_choices, list_config_groups, list_slots
from zoo.config.overrides import list_sweep_values, parse_word
from zoo.config.run_options import RUN_OPTIONS, SECTIONS
from zoo.model.schema import carry_options, overlay_part
from zoo.registry import Index, get_index
from zoo.system.installation import find_package_folder

_LOGGING = {
    "version": 1,
    "formatters": {"escaped": {"()": "zoo.system.terminal.EscapingFormatter"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "escaped", "stream": "ext://sys.stdout"},
    },
    "root": {"level": "INFO", "handlers": ["console"]},
    "disable_existing_loggers": False,
}
"""Logging to standard output, with control characters escaped."""


def publish() -> None:
    """Adds every registered component to the config store of Hydra."""
    _publish(get_index())


@functools.lru_cache(maxsize=1)
def _publish(known: Index) -> None:
    store = ConfigStore.instance()
    sections = {name: DictConfig({}, flags={"struct": False}) for name in SECTIONS}
    store.store(name="open", node=DictConfig(sections), package="_global_")
    slots = [group for group, _ in list_slots() if group.startswith("model/")]
    store.store(name="slots", node={"defaults": [{group: None} for group in slots]}, package="_global_")
    store.store(group="hydra/job_logging", name="escaped", node=_LOGGING, package="hydra.job_logging")
    for group, kind in list_slots():
        *parents, slot = group.split("/")
        emptied: Any = {slot: None}
        for parent in reversed(parents):
            emptied = {parent: emptied}
        store.store(group=f"hydra/empty/{group}", name="slot", node=DictConfig(emptied), package="_global_")
        for name in known.get_names(kind):
            node = {"defaults": [{f"/hydra/empty/{group}@_global_": "slot"}, "_self_"], "name": name}
            store.store(group=group, name=name, node=node)
    for kind in ("data", "objective"):
        for name in known.get_names(kind):
            if not (find_package_folder("conf") / kind / f"{name}.yaml").exists():
                store.store(group=kind, name=name, node={"name": name})


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
                self._parsed[line] = override, _find_problem(override)
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
        values = [override for override in parsed if _is_value(override)]
        components = [override for override in parsed if _is_component(override)]
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


def find_carried_options(overrides: Sequence[str]) -> dict[str, Any]:
    """Finds options that :func:`compose_run` carries over from presets, by dotted key, to pass them to Hydra."""
    return _get_composer(get_index(), GlobalHydra.instance().hydra).find_carried(overrides)


def split_component_overrides(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits overrides into those that choose a component for a slot, and all others."""
    components = [line for line in overrides if _is_component(parse_word(line))]
    return components, [line for line in overrides if line not in components]


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
    return _get_composer(get_index(), GlobalHydra.instance().hydra)(overrides)


@functools.lru_cache(maxsize=4)
def _get_composer(known: Index, within: Hydra | None) -> _Composer:
    """Returns a cached composer for the same components, outside of Hydra or within one Hydra command."""
    publish()
    return _Composer()


def _is_value(override: Override) -> bool:
    """True if the override chooses no config group, so that it can be applied after composition."""
    key = override.key_or_group
    chooses = override.package is not None or (key in list_config_groups() and not isinstance(override.value(), dict))
    return not (chooses or override.is_sweep_override() or "/" in key or key.split(".")[0] == "hydra")


def _is_component(override: Override) -> bool:
    """True if the override chooses a component from the config store that no file of ``conf`` replaces."""
    group, name = override.key_or_group, override.value()
    kind = dict(list_slots()).get(group)
    changed = override.package is not None or override.type is not OverrideType.CHANGE or override.is_sweep_override()
    known = kind is not None and isinstance(name, str) and name in get_index().get_names(kind)
    return known and not changed and not (find_package_folder("conf") / group / f"{name}.yaml").exists()


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


# ------------------------------------------------------------------------------------------------------ overrides


def find_override_problems(overrides: Sequence[str]) -> dict[str, str]:
    """Finds overrides that Hydra cannot apply; returns the reason for each."""
    return _get_composer(get_index(), GlobalHydra.instance().hydra).find_problems(overrides)


def _find_problem(override: Override) -> str | None:
    key = override.key_or_group.split("@")[0]
    if key.startswith("hydra/") and not override.is_delete() and not isinstance(override.value(), str):
        return f"{key}: must be a name: got {override.input_line}"
    if key == "hydra" or key.startswith(("hydra/", "hydra.")):
        return None
    groups = list_config_groups()
    if "/" in key or (key in groups and not isinstance(override.value(), dict)):
        if key not in groups:
            return f"{key}: unknown config group: {suggest(key, groups)}"
        choices = list_choices(key)
        if not override.is_delete() and not override.is_sweep_override() and override.value() is None:
            return f"{key}: must be chosen: {suggest('null', choices)}"
        for value in _list_values(override):
            if not isinstance(value, str | int | float) or str(value) not in choices:
                return f"{key}: unknown choice {str(value)!r}: {suggest(str(value), choices)}"
        return None
    known = [*SECTIONS, *(option.name for option in RUN_OPTIONS)]
    if key.split(".")[0] not in known and not override.is_add():
        return f"{key}: unknown key: {suggest(key.split('.')[0], known)}"
    return None


def _list_values(override: Override) -> list[Any]:
    """Lists the chosen values: one, those of a list, or those of a sweep; empty for patterns and deletions."""
    if override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        return []
    if override.is_sweep_override():
        return list_sweep_values(override)
    value = override.value()
    return value if isinstance(value, list) else [] if value is None else [value]

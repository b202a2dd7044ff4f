"""The registry as Hydra sees it, and Hydra's complaints as our lines.

A component is published as an open node ``{name: …}`` that first empties its slot. What may stand beside the name is
not Hydra's business: one pass of our own checks the composed config (``checking.py``).
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping, Sequence
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
from zoo.config.overrides import parse_word, sweep_strings
from zoo.model.schema import SLOTS, STACKS, carry_options, overlay_part
from zoo.registry import Index, index
from zoo.system.installation import find_package_folder

OPEN = ("model", "data", "objective", "optimizer", "schedule", "trainer", "logger", "callbacks")
"""Sections whose keys are checked by us, and so may be anything to Hydra."""


_LOGGING = {
    "version": 1,
    "formatters": {"escaped": {"()": "zoo.system.terminal.EscapingFormatter"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "escaped", "stream": "ext://sys.stdout"},
    },
    "root": {"level": "INFO", "handlers": ["console"]},
    "disable_existing_loggers": False,
}
"""Lines to the standard output, without control characters that names may hold."""


def publish() -> None:
    """Put every registered component into Hydra's config store."""
    _publish(index())


@functools.lru_cache(maxsize=1)
def _publish(known: Index) -> None:
    store = ConfigStore.instance()
    sections = {name: DictConfig({}, flags={"struct": False}) for name in OPEN}
    store.store(name="open", node=DictConfig(sections), package="_global_")
    store.store(group="hydra/job_logging", name="escaped", node=_LOGGING, package="hydra.job_logging")
    for group, kind in slots():
        *parents, slot = group.split("/")
        emptied: Any = {slot: None}
        for parent in reversed(parents):
            emptied = {parent: emptied}
        store.store(group=f"hydra/empty/{group}", name="slot", node=DictConfig(emptied), package="_global_")
        for name in known.names(kind):
            node = {"defaults": [{f"/hydra/empty/{group}@_global_": "slot"}, "_self_"], "name": name}
            store.store(group=group, name=name, node=node)
    for kind in ("data", "objective"):
        for name in known.names(kind):
            if not (find_package_folder("conf") / kind / f"{name}.yaml").exists():
                store.store(group=kind, name=name, node={"name": name})


def slots() -> Iterator[tuple[str, str]]:
    """The config groups that hold one component each, with its kind."""
    yield "data/tokenizer", "tokenizer"
    yield "model/cross", "attention"
    yield "model/initialization", "initialization"
    for prefix in ("model", *(f"model/{stack}" for stack in STACKS)):
        for slot in SLOTS:
            yield f"{prefix}/{slot}", slot


class _Composer:
    """Composes configs of trainings, many of them quickly.

    Hydra composes once for each set of presets; components that are chosen are put into their slots of a copy, with
    the options of the preset's part that both have, and the values among the overrides are written over it by Hydra's
    own function. Every override is parsed once.
    """

    def __init__(self) -> None:
        self._parser = OverridesParser.create()
        self._parsed: dict[str, tuple[Override | None, str | None]] = {}
        self._preset: dict[tuple[str, ...], DictConfig] = {}

    def __call__(self, overrides: Sequence[str]) -> dict[str, Any]:
        """The composed config, before our checking pass.

        Raises:
            Refused: with every override that cannot be, one a line.
        """
        problems = self.problems(overrides)
        given = self._compose([line for line in overrides if line not in problems])
        if problems:
            raise Refused("\n".join([*problems.values(), *_further(given, problems)]))
        return given

    def problems(self, overrides: Sequence[str]) -> dict[str, str]:
        """The overrides that Hydra could not apply, each with a line that says why."""
        return {line: problem for line in overrides if (problem := self._parse(line)[1])}

    def _parse(self, line: str) -> tuple[Override | None, str | None]:
        if line not in self._parsed:
            try:
                override = parse_word(line, self._parser)
                self._parsed[line] = override, _problem(override)
            except Refused as error:
                self._parsed[line] = None, str(error)
        return self._parsed[line]

    def _compose(self, overrides: Sequence[str]) -> dict[str, Any]:
        try:
            preset, components, values = self._begin(overrides)
            config = copy.deepcopy(preset)
            for slot, part in _swapped(config, components).items():
                OmegaConf.update(config, slot, part, merge=False, force_add=True)
            ConfigLoaderImpl._apply_overrides_to_config(values, config)
        except (HydraException, OmegaConfBaseException) as error:
            raise Refused(one_line(error)) from None
        return plain(config)

    def _begin(self, overrides: Sequence[str]) -> tuple[DictConfig, list[Override], list[Override]]:
        """A config of presets alone, shared and not to be changed; components for its slots; values that come last."""
        parsed = [override for line in overrides if (override := self._parse(line)[0]) is not None]
        values = [override for override in parsed if _is_value(override)]
        components = [override for override in parsed if _is_component(override)]
        presets = tuple(str(each.input_line) for each in parsed if each not in values and each not in components)
        if presets not in self._preset:
            self._preset[presets] = _composed(presets)
        return self._preset[presets], components, values

    def carried(self, overrides: Sequence[str]) -> dict[str, Any]:
        """By dotted key, the options of a preset's parts that are carried over to those that overrides choose."""
        problems = self.problems(overrides)
        try:
            config, components, _ = self._begin([line for line in overrides if line not in problems])
        except (HydraException, OmegaConfBaseException):  # which is told where the config is composed
            return {}
        parts = _swapped(config, components).items()
        return {f"{slot}.{key}": value for slot, part in parts for key, value in part.items() if key != "name"}


def carried_options(overrides: Sequence[str]) -> dict[str, Any]:
    """Options of a preset's parts that :func:`compose_run` carries over, by dotted key: what Hydra must be told."""
    return _composer(index(), GlobalHydra.instance().hydra).carried(overrides)


def _swapped(config: DictConfig, components: Sequence[Override]) -> dict[str, dict[str, Any]]:
    """By dotted slot, the component that is chosen for it, with the options of the part that stood there."""
    kinds, parts = dict(slots()), {}
    for override in components:
        group, name = override.key_or_group, str(override.value())
        slot = group.replace("/", ".")
        old = _part(config, slot) or (_like_cross(config) if group == "model/cross" else {})
        parts[slot] = {"name": name, **carry_options(kinds[group], old, name)}
    return parts


def _part(config: DictConfig, slot: str) -> dict[str, Any]:
    """What stands in a slot, interpolations unresolved; nothing where it is empty."""
    found = OmegaConf.select(config, slot)
    container = OmegaConf.to_container(found) if isinstance(found, DictConfig) else None
    return {str(key): value for key, value in container.items()} if isinstance(container, dict) else {}


def _like_cross(config: DictConfig) -> dict[str, Any]:
    """What cross-attention is where it is unset: the decoder's attention, without its window."""
    own = _part(config, "model.decoder.attention")
    attention = overlay_part("attention", _part(config, "model.attention"), own)
    if isinstance(scores := attention.get("scores"), dict):
        attention["scores"] = {key: value for key, value in scores.items() if key != "window"}
    return attention


def compose_run(overrides: Sequence[str]) -> dict[str, Any]:
    """The composed config of a training, before our checking pass.

    Raises:
        Refused: with every override that cannot be, one a line.
    """
    return _composer(index(), GlobalHydra.instance().hydra)(overrides)


@functools.lru_cache(maxsize=4)
def _composer(known: Index, within: Hydra | None) -> _Composer:
    """One for all that is composed from the same components, outside of Hydra or within one command of it."""
    publish()
    return _Composer()


def _is_value(override: Override) -> bool:
    """Whether it changes nothing of what Hydra chooses, and so may be written over the config afterwards."""
    key = override.key_or_group
    chooses = override.package is not None or (key in config_groups() and not isinstance(override.value(), dict))
    return not (chooses or override.is_sweep_override() or "/" in key or key.split(".")[0] == "hydra")


def _is_component(override: Override) -> bool:
    """Whether it chooses what :func:`publish` put into the store, for which nothing else stands in its place."""
    group, name = override.key_or_group, override.value()
    kind = dict(slots()).get(group)
    changed = override.package is not None or override.type is not OverrideType.CHANGE or override.is_sweep_override()
    known = kind is not None and isinstance(name, str) and name in index().names(kind)
    return known and not changed and not (find_package_folder("conf") / group / f"{name}.yaml").exists()


def _further(given: dict[str, Any], unapplied: Mapping[str, str]) -> list[str]:
    """What else is wrong; not in slots whose choice could not be applied, since their options are for another."""
    from zoo.config.checking import check_run

    slots = tuple(line.split("=")[0].lstrip("+~").replace("/", ".") + "." for line in unapplied)
    return [problem for problem in check_run(given).problems if not problem.startswith(slots)]


def _composed(presets: Sequence[str]) -> DictConfig:
    if GlobalHydra.instance().is_initialized():  # inside a sweep, whose config store is this one
        return compose("train", overrides=list(presets))
    with initialize_config_dir(str(find_package_folder("conf")), version_base="1.3"):
        return compose("train", overrides=list(presets))


def plain(config: DictConfig) -> dict[str, Any]:
    """A composed config as plain values, interpolations resolved."""
    try:
        container = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise Refused(one_line(error)) from None
    return {str(key): value for key, value in container.items()} if isinstance(container, dict) else {}


def one_line(error: Exception) -> str:
    """The first line of what Hydra or OmegaConf says, with the key it is about."""
    if not str(error) and isinstance(error.__cause__, Exception):
        return one_line(error.__cause__)
    key = getattr(error, "full_key", None)
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return f"{key}: {first}" if key and key not in first else first


# ------------------------------------------------------------------------------------------------------ overrides


def override_problems(overrides: Sequence[str]) -> dict[str, str]:
    """The overrides that Hydra could not apply, each with a line that says why."""
    return _composer(index(), GlobalHydra.instance().hydra).problems(overrides)


def _problem(override: Override) -> str | None:
    key = override.key_or_group.split("@")[0]
    if key.startswith("hydra/") and not override.is_delete() and not isinstance(override.value(), str):
        return f"{key}: must be a name: got {override.input_line}"
    if key == "hydra" or key.startswith(("hydra/", "hydra.")):
        return None
    groups = config_groups()
    if "/" in key or (key in groups and not isinstance(override.value(), dict)):
        if key not in groups:
            return f"{key}: unknown config group: {suggest(key, groups)}"
        choices = group_choices(key)
        if not override.is_delete() and not override.is_sweep_override() and override.value() is None:
            return f"{key}: must be chosen: {suggest('null', choices)}"
        for value in _values(override):
            if not isinstance(value, str | int | float) or str(value) not in choices:
                return f"{key}: unknown choice {str(value)!r}: {suggest(str(value), choices)}"
        return None
    known = [*OPEN, *_run_names()]
    if key.split(".")[0] not in known and not override.is_add():
        return f"{key}: unknown key: {suggest(key.split('.')[0], known)}"
    return None


def _values(override: Override) -> list[Any]:
    """What is chosen: one value, each of a list, or each of a sweep; patterns and deletions are Hydra's own affair."""
    if override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        return []
    if override.is_sweep_override():
        return sweep_strings(override)
    value = override.value()
    return value if isinstance(value, list) else [] if value is None else [value]


def _run_names() -> list[str]:
    from zoo.config.checking import RUN_OPTIONS

    return [option.name for option in RUN_OPTIONS]


def config_groups() -> list[str]:
    """All config groups of a training."""
    return [*OPEN, *(group for group, _ in slots())]


def group_choices(group: str) -> list[str]:
    """What may be chosen in a config group: files of ``conf`` and published components."""
    root = find_package_folder("conf") / group
    files = {str(path.relative_to(root).with_suffix("")) for path in root.rglob("*.yaml")}
    kind = dict(slots()).get(group, group)
    return sorted(files | set(index().names(kind)))

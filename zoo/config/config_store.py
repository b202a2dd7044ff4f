"""Publication of components in the config store of Hydra.

A component is published as an open node ``{name: …}`` that first empties its slot. Hydra does not check the other keys
of the node: :mod:`zoo.config.checking` checks the composed config.
"""

from __future__ import annotations

import functools
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig

from zoo.config.groups import list_slots
from zoo.config.run_options import SECTIONS
from zoo.registry import Index, get_index
from zoo.system.installation import find_package_folder

_LOGGING = {
    "version": 1,
    "formatters": {"escaped": {"()": "zoo.system.terminal.EscapingFormatter"}},
    "handlers": {
        "console": {"class": "logging.StreamHandler", "formatter": "escaped", "stream": "ext://sys.stdout"},
    },
    "root": {"level": "INFO", "handlers": ["console"]},
    "loggers": {name: {"level": "WARNING"} for name in ("hydra", "hydra_plugins")},  # each run prints its own label
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

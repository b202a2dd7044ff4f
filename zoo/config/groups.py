"""Config groups and what may be chosen in them; imports neither torch nor Hydra."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.config.run_options import SECTIONS
from zoo.model.schema import SLOTS, STACKS
from zoo.registry import list_kind
from zoo.system.installation import find_package_folder


def list_slots() -> Iterator[tuple[str, str]]:
    """Yields the config groups of single components, each with its kind."""
    yield "data/tokenizer", "tokenizer"
    yield "model/cross", "attention"
    yield "model/initialization", "initialization"
    for prefix in ("model", *(f"model/{stack}" for stack in STACKS)):
        for slot in SLOTS:
            yield f"{prefix}/{slot}", slot


def list_config_groups() -> list[str]:
    """Lists all config groups of a training."""
    return [*SECTIONS, *(group for group, _ in list_slots())]


def list_choices(group: str) -> list[str]:
    """Lists the choices of a config group: files of ``conf`` and published components."""
    root = find_package_folder("conf") / group
    files = {str(path.relative_to(root).with_suffix("")) for path in root.rglob("*.yaml")}
    kind = dict(list_slots()).get(group, group)
    return sorted(files | set(list_kind(kind)))

"""Saves models as checkpoint folders."""

from __future__ import annotations

import itertools
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from zoo.checks import Refused
from zoo.hub.checksums import write_checksums
from zoo.hub.config_json import write_published_config
from zoo.hub.family import Family
from zoo.hub.family_index import find_family
from zoo.hub.misfits import find_fitting_family, find_misfits, iterate_misfits
from zoo.hub.native import NATIVE, TASK_HEAD_PREFIX, write_native_config
from zoo.hub.origin import Origin
from zoo.hub.plan_difference import Difference
from zoo.hub.task_heads import KeptHead
from zoo.hub.tensor_files import INDEX_FILE, SINGLE_FILE
from zoo.hub.weights import iterate_published_tensors, require_plan
from zoo.model.cost import build_on_meta
from zoo.model.variants.variant import Variant
from zoo.system.files import clear_drafts, make_draft_path, publish_folder, replace_file, write_file

MAX_SHARD_BYTES = 5 * 10**9
_NEAREST = 3
_NATIVE_HINT = "family zoo writes the native format, for any model"
_log = logging.getLogger("zoo")


def save(
    model: Variant,
    path: str | Path,
    *,
    family: str | None = None,
    kept: Mapping[str, Any] | None = None,
    files: Mapping[str, bytes] | None = None,
    shard: int = MAX_SHARD_BYTES,
) -> Family:
    """Saves a model as a checkpoint folder that transformers and other libraries can read.

    Args:
        model: a model from ``build``, a training run, or ``load``.
        path: a folder that does not exist yet, or is empty.
        family: name of the family to save it as; ``zoo`` for the native format. None for the family that the model
            was loaded as, if it still fits, else the first family that fits.
        kept: further options of config.json that do not affect what the model computes; they override those that
            were loaded with the model.
        files: companion files by name; they override those that were loaded with the model.
        shard: maximum number of bytes of a file.
    Returns:
        the family that the model was saved as.
    Raises:
        Refused: if the model does not fit, with the reasons; or if the folder is not empty.
    """
    folder = Path(path)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} already exists: choose a folder that is new or empty")
    origin = model.origin if isinstance(model.origin, Origin) else Origin(NATIVE.name)
    chosen = choose_family(model, family, origin)
    task = origin.task if chosen.name in (origin.family, NATIVE.name) else None
    if task is None and origin.task is not None:
        _log.warning("left out, since %s does not have it: %s", chosen.name, origin.task)
    config = _build_config(model, chosen, {**origin.kept, **(kept or {})}, origin.family, task)
    clear_drafts(folder.parent, folder.name)
    draft = make_draft_path(folder)
    draft.mkdir(parents=True)
    try:
        _write_tensors(draft, model, chosen, shard, task)
        write_checksums(draft)
        for name, content in {**origin.files, **(files or {})}.items():
            write_file(draft / name, content)
        write_file(draft / "config.json", json.dumps(config, indent=2, ensure_ascii=False) + "\n")
        publish_folder(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return chosen


def choose_family(model: Variant, requested: str | None, origin: Origin) -> Family:
    """Chooses the family to save a model as: the requested one, else its own, else the first that fits.

    Raises:
        Refused: if the requested family, or every family, does not fit; with the reasons.
    """
    plan = require_plan(model)
    if requested == NATIVE.name:
        return NATIVE
    if requested is not None:
        family = find_family(requested)
        if wrong := find_misfits(family, plan, origin.get_architecture(family)):
            fitting = find_fitting_family(plan, origin)
            hint = "" if fitting is None else f"\nthe model fits family {fitting.name}"
            reasons = _format_differences(wrong)
            raise Refused(f"the model does not fit {family.name}:\n{reasons}{hint}\n{_NATIVE_HINT}")
        return family
    refused = []
    for family, wrong in iterate_misfits(plan, origin):
        if not wrong:
            return family
        order_by = (family.name != origin.family, family.base["variant"] != plan.variant, len(wrong))
        refused.append((order_by, family.name, wrong))
    nearest = sorted(refused, key=lambda each: each[0])[:_NEAREST]  # a stable sort, so ties stay in this order
    reasons = "\n".join(f"{name}:\n{_format_differences(wrong)}" for _, name, wrong in nearest)
    raise Refused(f"the model fits no published family; the closest, with the differences:\n{reasons}\n{_NATIVE_HINT}")


def _format_differences(wrong: list[Difference]) -> str:
    return "\n".join(f"  {difference}" for difference in wrong)


def _build_config(
    model: Variant, family: Family, kept: Mapping[str, Any], origin: str, task: KeptHead | None
) -> dict[str, Any]:
    plan = require_plan(model)
    dtype = str(model.embedding.table.weight.dtype).removeprefix("torch.")
    if family is NATIVE:
        return write_native_config(plan.config, model.vocabulary, kept, origin, task)
    if origin != family.name:  # an option that the other family ignores may have a meaning in this one
        kept = {name: value for name, value in kept.items() if name in family.passthrough}
    architecture = None if task is None else task.architecture
    return {**write_published_config(family, plan, kept, architecture), "torch_dtype": dtype, "dtype": dtype}


def _iterate_tensors(model: Variant, family: Family, task: KeptHead | None) -> Iterator[tuple[str, Tensor]]:
    """Iterates over the tensors to save: those of the model, and of the task head kept beside it."""
    if task is None:
        yield from iterate_published_tensors(model, family)
        return
    form = family.architectures.get(task.architecture)
    prefix = family.prefix if form is None or form.task is None or form.task.prefix is None else form.task.prefix
    for name, tensor in iterate_published_tensors(model, family, bare=False):
        inside = name.startswith(family.prefix)
        yield prefix + name.removeprefix(family.prefix) if inside else name, tensor
    for name, tensor in task.tensors.items():
        yield (TASK_HEAD_PREFIX if family is NATIVE else "") + name, tensor


def _write_tensors(folder: Path, model: Variant, family: Family, most: int, task: KeptHead | None) -> None:
    """Writes the tensors to as few files of at most ``most`` bytes as possible; a larger tensor has its own file."""
    named = _iterate_tensors(_copy_to_meta(model), family, task)
    sizes = [(name, tensor.numel() * tensor.element_size()) for name, tensor in named]
    shards: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes:
        if shards[-1] and filled + size > most:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    count = len(shards)
    names = [SINGLE_FILE] if count == 1 else [f"model-{i:05}-of-{count:05}.safetensors" for i in range(1, count + 1)]
    tensors = _iterate_tensors(model, family, task)
    for name, shard in zip(names, shards, strict=True):
        part = {tensor: value.cpu().contiguous() for tensor, value in itertools.islice(tensors, len(shard))}
        with replace_file(folder / name) as draft:
            save_file(part, draft, metadata={"format": "pt"})
    if len(shards) > 1:
        weight_map = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
        index = {"metadata": {"total_size": sum(size for _, size in sizes)}, "weight_map": weight_map}
        write_file(folder / INDEX_FILE, json.dumps(index, indent=2) + "\n")


def _copy_to_meta(model: Variant) -> Variant:
    """Returns a copy of the model on the meta device."""
    return build_on_meta(require_plan(model), model.vocabulary).to(model.embedding.table.weight.dtype)

"""Checkpoint folders: ``load`` makes a model of one, ``save`` makes one of a model."""

from __future__ import annotations

import functools
import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from zoo import limits
from zoo.checks import Refused
from zoo.hub.companion_files import read_side_files
from zoo.hub.family import Described, Family, families, find_family, misfits, read, write
from zoo.hub.native import BESIDE, OWN, read_own, write_own
from zoo.hub.plan_difference import Difference
from zoo.hub.task_heads import KeptHead, read_head
from zoo.hub.tensor_files import INDEX, ONE, Checkpoint, Renamed, Selected, open_checkpoint
from zoo.hub.text_config import names_inside
from zoo.hub.weights import fill, published
from zoo.model.cost import build_on_meta
from zoo.model.variants.variant import Variant
from zoo.system.files import clear_drafts, make_draft_path, publish_folder, replace_file, write_file
from zoo.system.input_files import read_bytes, read_json

SHARD = 5 * 10**9
CHECKPOINT_KEYS = ("path", "sha256")
"""Keys of a model's config that name the checkpoint it starts from: the folder, and the digest of its contents."""
_NEAREST = 3
_log = logging.getLogger("zoo")


@dataclass(frozen=True)
class Origin:
    """What a checkpoint said beyond the model, and what is written again when the model is saved.

    Args:
        family: the published one that it came from; ``zoo`` if it never was in one.
        kept: options of config.json that change nothing of what the model computes (ids of special tokens).
        files: what lies beside, by name: tokenizer, generation config, pooling.
        task: a head that no part of the model is; it is written again in the same family.
    """

    family: str
    kept: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    task: KeptHead | None = None

    def architecture_in(self, family: Family) -> str | None:
        """The class that is written where the model goes back to its own family with its task head."""
        return self.task.architecture if self.task is not None and family.name == self.family else None


_ORIGIN, _FILES = "origin.json", "files"


def write_origin(origin: Origin, folder: Path) -> None:
    """Keep what a checkpoint said beyond the model in a folder of its own, for an export later on.

    A task head is not kept: after a training its body is another.
    """
    for name, content in origin.files.items():
        write_file(folder / _FILES / name, content)
    said = {"family": origin.family, "kept": origin.kept}
    write_file(folder / _ORIGIN, json.dumps(said, indent=1, ensure_ascii=False) + "\n")


def read_origin(folder: Path) -> Origin | None:
    """What :func:`write_origin` kept; None if the folder is not there.

    Names come from the folder itself, which a stranger may have made, so that none leads out of it.

    Raises:
        Refused: if something in it is not what is written there.
    """
    if not (folder / _ORIGIN).is_file():
        return None
    said, beside = read_json(folder / _ORIGIN), folder / _FILES
    family, kept = said.get("family"), said.get("kept")
    if not isinstance(family, str) or not isinstance(kept, dict):
        raise Refused(f"{folder / _ORIGIN}: must hold a family and options that are kept: got {str(said)[:60]}")
    paths = sorted(path for path in beside.rglob("*") if path.is_symlink() or not path.is_dir())
    if links := [path for path in paths if path.is_symlink()]:
        raise Refused(f"{links[0]} must be a file: got a link")
    files = {path.relative_to(beside).as_posix(): read_bytes(path, limits.JSON_BYTES) for path in paths}
    return Origin(family, kept, files)


def describe(path: str | Path, names: list[str] | None = None) -> Described:
    """What the config.json of a folder says; weights need not be there.

    Args:
        path: the folder, or the file itself.
        names: of the tensors beside it, where they are known.
    Raises:
        Refused: with all that is wrong, one a line.
    """
    folder = Path(path)
    file = folder / "config.json" if folder.is_dir() else folder
    config = read_json(file)
    if config.get("model_type") == OWN.name:
        return read_own(config)
    described = read(config, names)
    for note in described.notes():
        _note(file, note)
    return described


def without_checkpoint(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the config of a model without the keys that name the checkpoint it starts from."""
    return {key: value for key, value in config.items() if key not in CHECKPOINT_KEYS}


@functools.cache
def _note(file: Path, note: str) -> None:
    """Say it once, although a command may read a config several times."""
    _log.warning("%s: %s", file, note)


def load(path: str | Path, *, pickled: bool = False, dtype: torch.dtype | None = None) -> Variant:
    """The model of a checkpoint folder, in evaluation mode.

    Tensors are read one after another, so that memory is taken once.

    Args:
        path: a folder with ``config.json`` and ``model.safetensors``, one or several, of a family that
            ``zoo.hub.families`` knows or of the project's own form.
        pickled: whether ``pytorch_model.bin`` may be read where there is no safetensors file; torch's loader of
            weights only reads it, so that it cannot run code.
        dtype: of the weights; None keeps theirs.
    Returns:
        ``model(tokens, attention_mask=None)`` of a decoder or an encoder, ``model(source, target, …)`` of an
        encoder-decoder.
    Raises:
        Refused: with what is wrong with the folder, in one line or a few.
    """
    folder = Path(path)
    checkpoint = open_checkpoint(folder, pickled=pickled)
    described = describe(folder, list(checkpoint.headers))
    if described.outside is not None:
        checkpoint = Selected(checkpoint, names_inside(checkpoint.headers, described.family.prefix))
    if described.quantization is not None:
        checkpoint = described.quantization.open(checkpoint)
    checkpoint = Renamed(checkpoint, {}, described.beginnings)
    model = empty(described, checkpoint)
    task, beside = described.task, BESIDE if described.family is OWN else ""
    if task is not None:
        task = read_head(task, checkpoint, beside, dtype)
        _log.warning("kept beside the model, no part of which it is: %s", task)
    fill(model, described.family, checkpoint, dtype, [beside + name for name in task.shapes] if task else ())
    kept = dict(described.kept)
    came = kept.pop("family", OWN.name) if described.family is OWN else described.family.name
    model.origin = Origin(str(came), kept, read_side_files(folder), task)
    return model.eval()


def empty(described: Described, checkpoint: Checkpoint) -> Variant:
    """The model without memory, if its size is no other than that of the checkpoint."""
    layers, tensors = max(len(stack.layers) for stack in described.plan.stacks), len(checkpoint.headers)
    if layers > tensors * max(1, len(described.plan.stacks[-1].layers) // described.plan.stacks[-1].distinct):
        raise Refused(f"config.json has {layers} layers: the checkpoint has {tensors} tensors, fewer than that")
    try:
        return build_on_meta(described.plan, described.plan.vocabulary or 1)
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise Refused(f"config.json describes a model that no memory could hold: {first}") from None


# ---------------------------------------------------------------------------------------------------------- writing


def save(
    model: Variant,
    path: str | Path,
    *,
    family: str | None = None,
    kept: Mapping[str, Any] | None = None,
    files: Mapping[str, bytes] | None = None,
    shard: int = SHARD,
) -> Family:
    """Write a folder that others can read: for a published family, transformers and all that reads its checkpoints.

    Args:
        model: made by ``build``, a training, or ``load``.
        path: a folder that is not there yet, or empty.
        family: its name; ``zoo`` is the project's own form. None: the family that the model was loaded as, if it
            still fits, else the first that fits.
        kept: further options of config.json that change nothing of what the model computes; over those that came
            with the model.
        files: what lies beside it, by name; over those that came with the model.
        shard: bytes that one file may have.
    Returns:
        the family in whose form it was written.
    Raises:
        Refused: if the model does not fit, with what does not; or if there is something in the folder.
    """
    folder = Path(path)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} is there already: choose a folder that is new or empty")
    origin = model.origin if isinstance(model.origin, Origin) else Origin(OWN.name)
    chosen = choose(model, family, origin)
    task = origin.task if chosen.name in (origin.family, OWN.name) else None
    if task is None and origin.task is not None:
        _log.warning("left out, for %s does not have it: %s", chosen.name, origin.task)
    config = _config(model, chosen, {**origin.kept, **(kept or {})}, origin.family, task)
    clear_drafts(folder.parent, folder.name)
    partial = make_draft_path(folder)
    partial.mkdir(parents=True)
    try:
        _write_tensors(partial, model, chosen, shard, task)
        for name, content in {**origin.files, **(files or {})}.items():
            write_file(partial / name, content)
        write_file(partial / "config.json", json.dumps(config, indent=2, ensure_ascii=False) + "\n")
        publish_folder(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return chosen


def choose(model: Variant, asked: str | None, origin: Origin) -> Family:
    """The family to write a model as: the one that is asked for, else its own, else the first that fits.

    Raises:
        Refused: if the one that is asked for, or every one, does not fit; with what does not.
    """
    if model.plan is None:
        raise Refused("a model without a plan has no published form: build it with zoo.model.build")
    if asked == OWN.name:
        return OWN
    if asked is not None:
        family = find_family(asked)
        if wrong := misfits(family, model.plan, origin.architecture_in(family)):
            raise Refused(f"the model does not fit {family.name}:\n{_lines(wrong)}\n{_OWN_HINT}")
        return family
    order = sorted(
        families().values(),
        key=lambda each: (each.name != origin.family, each.name != "llama", each.alias_of is not None),
    )
    refused = []
    for family in order:
        if not (wrong := misfits(family, model.plan, origin.architecture_in(family))):
            return family
        order_by = (family.name != origin.family, family.base["variant"] != model.plan.variant, len(wrong))
        refused.append((order_by, family.name, wrong))
    nearest = sorted(refused, key=lambda each: each[0])[:_NEAREST]  # of equal ones, in the order of asking
    told = "\n".join(f"{name}:\n{_lines(wrong)}" for _, name, wrong in nearest)
    raise Refused(f"the model fits no published family; the nearest and what does not fit:\n{told}\n{_OWN_HINT}")


_OWN_HINT = "family zoo writes the project's own form, for any model"


def _lines(wrong: list[Difference]) -> str:
    return "\n".join(f"  {difference}" for difference in wrong)


def _config(
    model: Variant, family: Family, kept: Mapping[str, Any], origin: str, task: KeptHead | None
) -> dict[str, Any]:
    if model.plan is None:
        raise Refused("a model without a plan has no published form: build it with zoo.model.build")
    dtype = str(model.embedding.table.weight.dtype).removeprefix("torch.")
    if family is OWN:
        return write_own(model.plan.config, model.vocabulary, kept, origin, task)
    if origin != family.name:  # what another family ignores may mean something to this one
        kept = {name: value for name, value in kept.items() if name in family.idle}
    architecture = None if task is None else task.architecture
    return {**write(family, model.plan, kept, architecture), "torch_dtype": dtype, "dtype": dtype}


def _named(model: Variant, family: Family, task: KeptHead | None) -> Iterator[tuple[str, Tensor]]:
    """Every tensor that a folder of a family holds, of the model and of the head beside it."""
    if task is None:
        yield from published(model, family)
        return
    form = family.architectures.get(task.architecture)
    prefix = family.prefix if form is None or form.task is None or form.task.prefix is None else form.task.prefix
    for name, tensor in published(model, family, bare=False):
        inside = name.startswith(family.prefix)
        yield prefix + name.removeprefix(family.prefix) if inside else name, tensor
    for name, tensor in task.tensors.items():
        yield (BESIDE if family is OWN else "") + name, tensor


def _write_tensors(folder: Path, model: Variant, family: Family, most: int, task: KeptHead | None) -> None:
    """One file, or as many as are needed so that none but one with a single tensor has more bytes than ``most``."""
    named = _named(_as_meta(model), family, task)
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
    names = [ONE] if count == 1 else [f"model-{i:05}-of-{count:05}.safetensors" for i in range(1, count + 1)]
    made = _named(model, family, task)
    for name, shard in zip(names, shards, strict=True):
        part = {tensor: value.cpu().contiguous() for tensor, value in _next(made, len(shard))}
        with replace_file(folder / name) as draft:
            save_file(part, draft, metadata={"format": "pt"})
    if len(shards) > 1:
        where = {tensor: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
        index = {"metadata": {"total_size": sum(size for _, size in sizes)}, "weight_map": where}
        write_file(folder / INDEX, json.dumps(index, indent=2) + "\n")


def _next(tensors: Iterator[tuple[str, Tensor]], count: int) -> Iterator[tuple[str, Tensor]]:
    """The next ``count`` tensors."""
    for _ in range(count):
        yield next(tensors)


def _as_meta(model: Variant) -> Variant:
    """The same model without memory."""
    if model.plan is None:
        raise Refused("a model without a plan has no published form: build it with zoo.model.build")
    return build_on_meta(model.plan, model.vocabulary).to(model.embedding.table.weight.dtype)

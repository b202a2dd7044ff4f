"""``zoo export``: writes a trained model as a checkpoint for transformers and other libraries."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from zoo.cli.parser import Given, Parser
from zoo.system.names import require_path
from zoo.system.terminal import say


def require_two_folders(given: Given) -> Iterable[str]:
    """Yields a problem unless there are two words, a source and a target."""
    if len(given.words) != 2:
        yield f"two folders must be given, SOURCE and TARGET: got {' '.join(given.words) or 'none'}"


def _problems(given: Given) -> Iterable[str]:
    yield from require_two_folders(given)
    if given.shard is not None and given.shard < 1:
        yield f"--shard: must be a positive number of bytes: got {given.shard}"


PARSER = Parser(
    "export",
    ["SOURCE TARGET"],
    "write a trained model as a checkpoint for transformers and other libraries",
    description=(
        "Write a trained model as the checkpoint folder of a published family: config.json, generation_config.json, "
        "tokenizer.json, tokenizer_config.json and model.safetensors."
    ),
    arguments={
        "SOURCE": "the folder of a finished run or of a checkpoint",
        "TARGET": "the folder to write to, empty or absent",
    },
    examples=["zoo export runs/ebe67b8e1d18397a my_llama --family llama"],
    check=_problems,
)
PARSER.add_value(
    "--family",
    "FAMILY",
    help="the family to write: a model_type of transformers, a preset, or zoo, which fits any model. "
    "Default: the family that the model came from, else the first that fits",
)
PARSER.add_value(
    "--shard", "BYTES", kind=int, help="split the weights into files of at most this size. Default: 5000000000"
)


def run(given: Given) -> int:
    """Writes the checkpoint and prints its files."""
    source, target = given.words
    write_checkpoint(source, target, given.family, shard=given.shard)
    return 0


def write_checkpoint(
    source: str, target: str, family: str | None, *, pickled: bool = False, shard: int | None = None
) -> None:
    """Writes the checkpoint of a family, and prints its files and what they leave out.

    Args:
        source: folder of a run or of a checkpoint.
        target: folder to write to.
        family: ``model_type`` or preset of the family; None for the one that the model came from, else the first that
            fits.
        pickled: True to read ``pytorch_model.bin`` where there is no safetensors file.
        shard: largest number of bytes of a file; None for the default.
    """
    from zoo.config.preset_family import resolve_family
    from zoo.data.tokenizer_files import READABLE_FILES
    from zoo.hub.export_model import export_model
    from zoo.hub.save_checkpoint import MAX_SHARD_BYTES
    from zoo.hub.saved_model import load_saved_model

    require_path("TARGET", target)
    family = None if family is None else resolve_family(family)
    read = load_saved_model(source, pickled=pickled)
    written = export_model(read, target, family=family, shard=MAX_SHARD_BYTES if shard is None else shard)
    count = sum(parameter.numel() for parameter in read.model.parameters())
    dtype = str(read.model.embedding.table.weight.dtype).removeprefix("torch.")
    say(f"{target}: family {written.family}, {count:,} parameters, {dtype}")
    width = max(map(len, written.files))
    for name, size in written.files.items():
        say(f"  {name:<{width}}  {size:,} bytes")
    if written.dropped:
        say("left behind, since it matters in training only:")
        for difference in written.dropped:
            say(f"  {difference.path}: {difference.one}")
    if written.has_prefix_objective:
        say("trained with bidirectional attention to sources; readers of this folder will apply causal attention")
    if read.tokenizer is None:
        say(f"no tokenizer written: {Path(source)} has no {READABLE_FILES}")

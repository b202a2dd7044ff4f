"""``zoo import`` and ``zoo export``: checkpoints of others in the project's form, and models of ours as checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zoo.checks import Refused, suggest
from zoo.cli.arguments import asks_for_help
from zoo.system.names import require_path
from zoo.system.terminal import say

IMPORT = """\
zoo import SRC DST [--pickled]

Reads a published checkpoint folder and writes it as one of the project's own form: config.json with names of
components, tensors under the names that they have here. zoo export goes back without loss.

  --pickled   read pytorch_model.bin where there is no safetensors file, as weights alone
"""
EXPORT = """\
zoo export RUN DST [--family FAMILY] [--shard BYTES]

Writes a finished run, or a checkpoint folder, as a checkpoint folder of a published family: config.json,
generation_config.json, tokenizer.json, tokenizer_config.json, model.safetensors.

  --family   in whose form; else the one that the model came from, or the first that it fits; zoo fits any model
  --shard    the most bytes of one file, as 500000000; else 5000000000
"""


def import_(arguments: Sequence[str]) -> int:
    """``zoo import SRC DST``."""
    if asks_for_help(arguments):
        say(IMPORT, end="")
        return 0
    folders, options = _parsed(arguments, flags=("--pickled",))
    source, target = _two(folders, "zoo import SRC DST")
    return _write(source, target, family="zoo", pickled="--pickled" in options)


def export(arguments: Sequence[str]) -> int:
    """``zoo export RUN DST``."""
    if asks_for_help(arguments):
        say(EXPORT, end="")
        return 0
    folders, options = _parsed(arguments, valued=("--family", "--shard"))
    source, target = _two(folders, "zoo export RUN DST")
    shard = options.get("--shard")
    if shard is not None and not (shard.isascii() and shard.isdigit() and int(shard)):
        raise Refused(f"--shard: must be a positive number of bytes: got {shard}")
    return _write(source, target, options.get("--family"), shard=None if shard is None else int(shard))


def _parsed(
    arguments: Sequence[str], flags: Sequence[str] = (), valued: Sequence[str] = ()
) -> tuple[list[str], dict[str, str]]:
    """Words, and options with their values; ``--family llama`` and ``--family=llama`` are the same."""
    words, options, left = [], {}, list(arguments)
    while left:
        word = left.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("--"):
            words.append(word)
        elif name in valued:
            if not equals and not left:
                raise Refused(f"{name}: needs a value")
            options[name] = value if equals else left.pop(0)
        elif word in flags:
            options[word] = ""
        else:
            raise Refused(f"{name}: unknown option: {suggest(name, [*flags, *valued])}")
    return words, options


def _two(folders: Sequence[str], usage: str) -> tuple[str, str]:
    if len(folders) != 2:
        raise Refused(f"{usage}: takes two folders: got {' '.join(folders) or 'none'}")
    return folders[0], folders[1]


def _write(source: str, target: str, family: str | None, *, pickled: bool = False, shard: int | None = None) -> int:
    from zoo.data.tokenizer_files import READABLE
    from zoo.hub.checkpoint_folder import SHARD
    from zoo.hub.export import export as write
    from zoo.hub.saved import saved

    require_path("DST", target)
    read = saved(source, pickled=pickled)
    done = write(read, target, family=family, shard=SHARD if shard is None else shard)
    count = sum(parameter.numel() for parameter in read.model.parameters())
    dtype = str(read.model.embedding.table.weight.dtype).removeprefix("torch.")
    say(f"{target}: family {done.family}, {count:,} parameters, {dtype}")
    width = max(map(len, done.files))
    for name, size in done.files.items():
        say(f"  {name:<{width}}  {size:,} bytes")
    if done.left:
        say("left behind, for it matters in training only:")
        for difference in done.left:
            say(f"  {difference.path}: {difference.one}")
    if done.prefix:
        say("the model was trained to see sources both ways; whoever reads this folder lets it see what came before")
    if read.tokenizer is None:
        say(f"there is no tokenizer: {Path(source)} has no {READABLE}")
    return 0

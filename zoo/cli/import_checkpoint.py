"""``zoo import``: converts a published checkpoint to zoo's own format."""

from __future__ import annotations

from zoo.cli.export_checkpoint import require_two_folders, write_checkpoint
from zoo.cli.parser import Given, Parser

PARSER = Parser(
    "import",
    ["SOURCE TARGET"],
    "convert a published checkpoint to zoo's own format",
    description=(
        "Convert a published checkpoint to zoo's own format, in which config.json names components and tensors have "
        "their names in zoo. zoo export converts it back without loss."
    ),
    arguments={
        "SOURCE": "the folder of a checkpoint",
        "TARGET": "the folder to write to, empty or absent",
    },
    examples=["zoo import path/to/Qwen3-0.6B my_qwen"],
    check=require_two_folders,
)
PARSER.add_switch(
    "--pickled",
    help="read pytorch_model.bin if there is no safetensors file; only weights are read, and no code is run",
)


def run(given: Given) -> int:
    """Writes the checkpoint and prints its files."""
    source, target = given.words
    write_checkpoint(source, target, "zoo", pickled=given.pickled)
    return 0

"""Writes docs/parity.md: every configuration of every family, measured here and now."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import transformers

from tests.hub.oracle import LENGTHS, NEW, SOURCES, Measured, cases, measure

PAGE = Path(__file__).parents[2] / "docs" / "parity.md"
HEAD = """# Parity with transformers

Written by `make parity`, which measures it: torch {torch}, transformers {transformers}, float32, on a CPU.

For each configuration `transformers` makes a tiny model; every weight is moved away from its first value, to logits
of order 1. It is saved, and `zoo.hub.load_network` reads the folder. Rows of {lengths} tokens (sources of {sources},
where there is an encoder and a decoder) are put to `transformers` one by one and without padding, and to ours all at
once, padded on the right and again on the left. *Logits* is the largest absolute difference of a logit, or of a hidden
state where there is no head. *Gradients* is that of the derivative of a weighted sum of log-probabilities by any
weight, compared under the names of the checkpoint. *Decoding* is {new} tokens with caches on both sides, ours in rows
of different lengths, greedily and once more by the third likeliest token: equal, or not applicable where nothing is
written. *Back* is what is left of the logits when `zoo.hub.save` writes the model and `transformers` reads it again;
*keys* are those that it then misses or does not know. Each number is the worst of its row. `tests/hub/test_parity.py`
holds each configuration to 1e-5 for logits and back, 1e-4 for gradients, equal tokens and no keys.

| family | configurations | logits | gradients | decoding | back | keys |
|---|---|---|---|---|---|---|
"""


def page(measured: Mapping[str, Mapping[str, Measured]]) -> str:
    """The page, of what was measured for each configuration of each family."""
    head = HEAD.format(
        torch=torch.__version__.split("+")[0],
        transformers=transformers.__version__,
        lengths=_listed(LENGTHS),
        sources=_listed(SOURCES),
        new=NEW,
    )
    return head + "".join(f"{row(family, found)}\n" for family, found in sorted(measured.items()))


def row(family: str, found: Mapping[str, Measured]) -> str:
    """One family: the worst of its configurations."""
    names = ", ".join(f"`{name}`" for name in found)
    logits, gradients, back = (
        f"{max(getattr(each, name) for each in found.values()):.1e}" for name in ("forward", "gradient", "back")
    )
    decoded = {each.decoded for each in found.values()} - {None}
    decoding = "differs" if False in decoded else "equal" if decoded else "not applicable"
    keys = "; ".join(key for each in found.values() for key in each.keys) or "none"
    return f"| `{family}` | {names} | {logits} | {gradients} | {decoding} | {back} | {keys} |"


def rows(text: str) -> dict[str, list[str]]:
    """The configurations of each family that a page names."""
    cells = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    return {line[1].strip(" `"): [name.strip(" `") for name in line[2].split(",")] for line in cells}


def _listed(numbers: Sequence[int]) -> str:
    *first, last = map(str, numbers)
    return f"{', '.join(first)} and {last}"


def main() -> None:
    """Measure everything, and write the page."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    measured: dict[str, dict[str, Measured]] = {}
    for file, case in cases():
        print(file, case.name, file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory() as folder:
            measured.setdefault(case.config().model_type, {})[case.name] = measure(case, Path(folder))
    PAGE.write_text(page(measured), encoding="utf8")


if __name__ == "__main__":
    main()

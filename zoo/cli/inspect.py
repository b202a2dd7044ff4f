"""``zoo inspect``: writes a page that shows what happens inside a model."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.checks import Refused
from zoo.cli.generate import build_sampling_options, list_sampling_problems, read_prompt, select_device
from zoo.cli.parser import Given, Parser
from zoo.inspect.languages import LANGUAGES
from zoo.system.terminal import say

if TYPE_CHECKING:
    from zoo.inspect.inspection import Inspection


def _problems(given: Given) -> Iterable[str]:
    """Yields what is wrong with the words alone, before a model is read."""
    flags = PARSER.collect_flags(given)
    if given.json:
        others = [name for name in ("--out", "--language") if name in flags]
        yield from (f"--json: makes no sense together with {name}" for name in others)
    if _is_composed(given):
        alone = [name for name in flags if name not in ("--out", "--language", "--json", "--device")]
        yield from (f"{name}: goes with the folder of a model that has weights" for name in alone)
        return
    if not 2 <= len(given.words) <= 3:
        yield f"zoo inspect needs the folder of a run or checkpoint, and one or two texts: got {len(given.words)} words"
    if given.word is not None and len(given.words) < 3:
        yield "--word: needs a second text, in which the word has another context"
    if given.tokens is not None and given.tokens < 0:
        yield f"--tokens: must not be negative: got {given.tokens}"
    yield from list_sampling_problems(flags)


PARSER = Parser(
    "inspect",
    ["FOLDER TEXT [TEXT]", "OVERRIDE ..."],
    "show what happens inside a model, as a page",
    description=(
        "Let a model read a text and go on with it, and write one HTML page that shows what happens inside: the loop "
        "of generation, attention, what each sublayer adds to each word, and what each layer would say. The page needs "
        "no connection, and its language can be switched.\n\n"
        "Tokens are chosen greedily unless --temperature, --top-k, --top-p or --seed is given."
    ),
    arguments={
        "FOLDER": "the folder of a finished run or of a checkpoint",
        "OVERRIDE": "a model without weights, of any size, as for zoo show: only its parameters and shapes are shown",
        "TEXT": (
            "the text to read, and another one with which the context of a word is compared; - reads standard input. "
            "Put -- before a text that begins with a dash"
        ),
    },
    examples=[
        'zoo inspect runs/ebe67b8e1d18397a "a fluffy blue creature roamed the"',
        'zoo inspect my_bert "She sat on the bank of the river." "She took money to the bank." --word bank',
        "zoo inspect model=deepseek_v3/671b --out deepseek.html",
        'zoo inspect my_qwen "苹果公司发布了新款" --language zh --temperature 0.8 --out apple.html',
    ],
    needs_words=True,
    check=_problems,
)
PARSER.add_value("--out", "FILE", help="write the page to FILE. Default: inspect.html in the working directory")
PARSER.add_value(
    "--language", "LANGUAGE", choices=LANGUAGES, help="language of the page at first: en or zh. Default: en"
)
PARSER.add_value(
    "--tokens", "N", kind=int, help="generate at most N tokens. Default: 24, or fewer if the model has fewer positions"
)
PARSER.add_value("--temperature", "T", kind=float, help="divide logits by T before sampling. Default: 1")
PARSER.add_value("--top-k", "K", kind=int, help="sample from the K most likely tokens")
PARSER.add_value("--top-p", "P", kind=float, help="sample from the most likely tokens that together have probability P")
PARSER.add_value("--seed", "S", kind=int, help="seed of the sampling. Default: 0")
PARSER.add_value(
    "--word", "WORD", help="compare this word in two texts. Default: the longest word that both texts have"
)
PARSER.add_value(
    "--vectors",
    "WORDS",
    help="further words on the map of word vectors, separated by commas; king-man+woman computes with three",
)
PARSER.add_value(
    "--ablate",
    "NAMES",
    help=(
        "parts to switch off one at a time, separated by commas: layer.0.ffn, layer.0.attention.head.2, "
        "layer.0.norm.1, layer.0.residual, or all heads, sublayers, norms or residuals. Default: all sublayers and "
        "heads for which there is time"
    ),
)
PARSER.add_switch("--json", help="print the data of the page as JSON")
PARSER.add_value(
    "--device", "DEVICE", help="run on cpu, cuda or cuda:N. Default: the first GPU if there is one, else cpu"
)


def run(given: Given) -> int:
    """Writes the page, or prints its data."""
    out = Path(given.out or "inspect.html")
    if not given.json and out.is_dir():
        raise Refused(f"--out: must be a file: got the folder {out}")
    found = _inspect_composed(given) if _is_composed(given) else _inspect_folder(given)
    if given.json:
        say(found.to_json())
        return 0
    file = found.write(out, given.language or "en")
    say(f"{file}: {file.stat().st_size / 1e6:.1f} MB; open it in a browser")
    return 0


def _is_composed(given: Given) -> bool:
    """True if all words are overrides, and the first is no folder."""
    words = given.words
    return bool(words) and all("=" in word for word in words) and not os.path.isdir(words[0])


def _inspect_composed(given: Given) -> Inspection:
    from zoo.inspect.inspect_plan import inspect_plan

    return inspect_plan(given.words)


def _inspect_folder(given: Given) -> Inspection:
    from zoo.generation import Sampling
    from zoo.generation.trained_model import open_model
    from zoo.inspect.inspect_model import inspect_model

    options = build_sampling_options(PARSER.collect_flags(given))
    device, (folder, *texts) = select_device(given.device), given.words
    source = open_model(folder)
    source.model.to(device)
    name = os.path.basename(os.path.abspath(folder))
    return inspect_model(
        source.model,
        source.prompting,
        read_prompt(texts[0]),
        name,
        tokens=given.tokens,
        sampling=Sampling(**options) if options else None,
        second=read_prompt(texts[1]) if len(texts) > 1 else None,
        word=given.word,
        folder=Path(folder),
        words=[word for word in (given.vectors or "").split(",") if word],
        ablate=[name for name in (given.ablate or "").split(",") if name],
    )

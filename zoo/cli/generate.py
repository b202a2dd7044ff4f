"""``zoo generate``: prints what a model writes, or how it fills masks."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from zoo.checks import Refused
from zoo.cli.parser import Given, Parser
from zoo.system.terminal import say, say_raw

if TYPE_CHECKING:
    import torch

    from zoo.generation.trained_model import TrainedModel

_SAMPLING = ("--temperature", "--top-k", "--top-p", "--seed")
_DRAWING = (*_SAMPLING, "--samples")
_COUNTS = ("--tokens", "--samples", "--beams")


def _problems(given: Given) -> Iterable[str]:
    """Yields what is wrong with the words alone, before a model is read."""
    flags = PARSER.collect_flags(given)
    for flag, others in _EXCLUSIVE.items():
        if flag in flags and (found := [other for other in others if other in flags]):
            yield f"{flag}: makes no sense together with {', '.join(found)}"
    if "--length-penalty" in flags and not {"--beams", "--fill"} & set(flags):
        yield "--length-penalty: goes with --beams"
    yield from (f"{name}: must be positive: got {flags[name]}" for name in _COUNTS if flags.get(name, 1) < 1)
    if "" in given.stop:
        yield "--stop: must not be empty"
    yield from list_sampling_problems(flags)
    if given.steps and len(given.words) > 2:
        yield f"--steps: goes with one prompt: got {len(given.words) - 1}"
    if len(given.words) < 2:
        yield f"zoo generate needs {'a prompt' if given.words else 'the folder of a run or checkpoint, and a prompt'}"
    for word in given.words[1:]:
        if any(os.path.isfile(os.path.join(word, name)) for name in ("config.yaml", "config.json")):
            yield f"{word} is the folder of a run or checkpoint: zoo generate takes one folder, and then prompts"
    if given.words[1:].count("-") > 1:
        yield "only one prompt can be read from the standard input: got - several times"


PARSER = Parser(
    "generate",
    ["FOLDER PROMPT ..."],
    "generate text with a trained model",
    description="Generate text with a trained model. Tokens are sampled unless --greedy or --beams is given.",
    arguments={
        "FOLDER": "the folder of a finished run or of a checkpoint",
        "PROMPT": "a text to continue; - reads standard input. Put -- before a text that begins with a dash",
    },
    examples=[
        'zoo generate runs/ebe67b8e1d18397a "Return the"',
        'zoo generate my_llama "def main" "class Model" --temperature 0.7 --top-p 0.9 --samples 3',
        'zoo generate my_gpt "The" --steps --tokens 8',
        'zoo generate my_bert "The <mask> sat" --fill',
    ],
    needs_words=True,
    check=_problems,
)
PARSER.add_value(
    "--tokens", "N", kind=int, help="generate at most N tokens. Default: 128, or fewer if the model has fewer positions"
)
PARSER.add_value("--temperature", "T", kind=float, help="divide logits by T before sampling. Default: 1")
PARSER.add_value("--top-k", "K", kind=int, help="sample from the K most likely tokens")
PARSER.add_value("--top-p", "P", kind=float, help="sample from the most likely tokens that together have probability P")
PARSER.add_value(
    "--seed", "S", kind=int, help="seed of the sampling; the same prompt and seed give the same text. Default: 0"
)
PARSER.add_value(
    "--samples", "N", kind=int, help="generate N texts for each prompt, with seeds S, S + 1, and so on. Default: 1"
)
PARSER.add_switch("--greedy", help="always choose the most likely token")
PARSER.add_value("--beams", "N", kind=int, help="use beam search with N beams")
PARSER.add_value(
    "--length-penalty",
    "P",
    kind=float,
    help="in beam search, above 0 favors long texts, below 0 short ones. Default: 1",
)
PARSER.add_value("--stop", "TEXT", is_list=True, help="stop generating before TEXT; may be repeated")
PARSER.add_switch("--steps", help="print each step: the chosen token, and the likeliest ones with their probabilities")
PARSER.add_switch("--fill", help="fill the mask tokens of a text with an encoder")
PARSER.add_switch("--json", help="print prompts and texts as JSON")
PARSER.add_switch("--uncached", help="do not use a cache: slower, with the same result")
PARSER.add_value(
    "--device", "DEVICE", help="run on cpu, cuda or cuda:N. Default: the first GPU if there is one, else cpu"
)
_EXCLUSIVE = {
    "--greedy": _DRAWING,
    "--beams": (*_DRAWING, "--greedy", "--stop"),
    "--steps": ("--samples", "--beams", "--stop", "--json"),
    "--fill": tuple(name for name in PARSER.flags if name not in ("--fill", "--json", "--device")),
}
"""Flags that make no sense beside another one."""


def run(given: Given) -> int:
    """Prints the texts, or the filled masks."""
    from zoo.generation.trained_model import open_model

    device = select_device(given.device)
    prompts = [read_prompt(word) for word in given.words[1:]]
    source = open_model(given.words[0])
    source.model.to(device)
    if given.fill:
        _fill(source, prompts, as_json=given.json)
    else:
        _write(source, prompts, given)
    return 0


def list_sampling_problems(flags: Mapping[str, Any]) -> list[str]:
    """Returns what ``Sampling`` says of its values, by the names of the flags."""
    from zoo.generation.sampling import Sampling

    try:
        Sampling(**build_sampling_options(flags))
    except Refused as error:
        return [
            f"--{line.split(':')[0].replace('_', '-')}:{line.partition(':')[2]}" for line in str(error).splitlines()
        ]
    return []


def build_sampling_options(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the given ones among the arguments of ``Sampling``."""
    return {name.removeprefix("--").replace("-", "_"): flags[name] for name in _SAMPLING if name in flags}


def select_device(name: str | None) -> torch.device:
    """Returns the named device; without a name the first GPU if there is one, else the CPU."""
    import torch

    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:[0-9]+)?", name):
        raise Refused(f"--device: must be cpu, cuda or cuda:N: got {name}")
    device, there = torch.device(name), torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= there:
        raise Refused(f"--device: {name} is not there: this machine has {there} GPUs that torch can use")
    return device


def read_prompt(word: str) -> str:
    """Returns the word, or for ``-`` the standard input without the end of its last line."""
    return sys.stdin.read().removesuffix("\n") if word == "-" else word


def _write(source: TrainedModel, prompts: Sequence[str], given: Given) -> None:
    """Prints one text as it is generated; several, or JSON, once all are there."""
    from zoo import generation

    model, prompting = source.model, source.prompting
    common: dict[str, Any] = {"tokens": given.tokens, "cached": not given.uncached}
    samples = 1 if given.samples is None else given.samples
    sampling = None if given.greedy else generation.Sampling(**build_sampling_options(PARSER.collect_flags(given)))
    if given.steps:
        from zoo.cli.generation_steps import print_steps

        print_steps(source, prompts[0], sampling=sampling, **common)
        return
    if given.beams is not None:
        penalty = 1.0 if given.length_penalty is None else given.length_penalty
        texts = generation.search_texts(model, prompting, prompts, beams=given.beams, length_penalty=penalty, **common)
    elif len(prompts) * samples == 1 and not given.json:
        for piece in generation.stream(model, prompting, prompts[0], sampling=sampling, stops=given.stop, **common):
            say_raw(piece, end="", flush=True)
        say()
        return
    else:
        texts = generation.generate(
            model, prompting, prompts, sampling=sampling, samples=samples, stops=given.stop, **common
        )
    _show([(prompt, text) for prompt, text in zip(_each(prompts, samples), texts, strict=True)], given.json)


def _each(prompts: Sequence[str], samples: int) -> list[str]:
    return [prompt for prompt in prompts for _ in range(samples)]


def _show(answers: Sequence[tuple[str, str]], as_json: bool) -> None:
    if as_json:
        say(json.dumps([{"prompt": prompt, "text": text} for prompt, text in answers], indent=1, ensure_ascii=False))
    elif len(answers) == 1:
        say_raw(answers[0][1])
    else:
        say_raw("\n\n".join(f"> {prompt}\n{text}" for prompt, text in answers))


def _fill(source: TrainedModel, prompts: Sequence[str], *, as_json: bool) -> None:
    """Prints each text with its masks filled, and the most likely tokens of each mask."""
    from zoo.generation import fill

    found = fill(source.model, source.prompting, prompts)
    if as_json:
        filled = [{"prompt": prompt, **asdict(each)} for prompt, each in zip(prompts, found, strict=True)]
        say(json.dumps(filled, indent=1, ensure_ascii=False))
        return
    for each in found:
        say_raw(each.text)
        for number, mask in enumerate(each.masks, 1):
            say_raw(f"  mask {number}: " + "  ".join(f"{one.token} {one.probability:.3f}" for one in mask))

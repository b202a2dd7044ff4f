"""``zoo generate``."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from zoo.checks import Refused, suggest
from zoo.cli.arguments import asks_for_help
from zoo.system.terminal import say, say_raw

if TYPE_CHECKING:
    import torch

    from zoo.generation.trained_model import TrainedModel

HELP = """\
zoo generate FOLDER "PROMPT" ["PROMPT" ...]

FOLDER is that of a finished run or of a checkpoint; a PROMPT of - is read from the standard input.
Tokens are drawn, unless --greedy or --beams says otherwise.

  --tokens N            the largest number of tokens to write (128, or fewer where positions end)
  --temperature T       what logits are divided by before a token is drawn (1)
  --top-k K             draw from the K likeliest tokens
  --top-p P             draw from the likeliest tokens that together have probability P
  --seed S              of what is drawn (0); the same prompt with the same seed gives the same text
  --samples N           texts of each prompt, with seeds from S on
  --greedy              take the likeliest token
  --beams N             beam search with N beams
  --length-penalty P    above 0 beams favour long texts, below 0 short ones (1)
  --stop STRING         ends a text and is no part of it; may be given several times
  --fill                fill the masks of a text: what an encoder does
  --json                prompts and texts as JSON
  --uncached            read everything again for each token: slow, and the same text
  --device D            cpu, cuda or cuda:N (the first GPU if there is one, else cpu)
"""
_VALUES: Mapping[str, Callable[[str], Any]] = {
    "--tokens": int,
    "--temperature": float,
    "--top-k": int,
    "--top-p": float,
    "--seed": int,
    "--samples": int,
    "--beams": int,
    "--length-penalty": float,
    "--stop": str,
    "--device": str,
}
_SWITCHES = ("--greedy", "--fill", "--json", "--uncached")
_DRAWING = ("--temperature", "--top-k", "--top-p", "--seed", "--samples")
_APART = {
    "--greedy": _DRAWING,
    "--beams": (*_DRAWING, "--greedy", "--stop"),
    "--fill": tuple(flag for flag in (*_VALUES, *_SWITCHES) if flag not in ("--fill", "--json", "--device")),
}
"""What makes no sense beside a flag."""
_WORDS = {int: "a whole number", float: "a number"}


@dataclass
class Asked:
    """The words of a command line: flags with their values, and what is no flag."""

    flags: dict[str, Any] = field(default_factory=dict)
    stops: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def take(self, flag: str, value: str) -> None:
        """A flag that has a value."""
        kind = _VALUES[flag]
        try:
            self.flags[flag] = kind(value)
        except ValueError:
            self.problems.append(f"{flag}: must be {_WORDS[kind]}: got {value}")  # type: ignore[index]
        if flag == "--stop":
            self.stops.append(value)


def generate(arguments: Sequence[str]) -> int:
    """``zoo generate FOLDER PROMPT …``: what a model writes, or how it fills masks."""
    if asks_for_help(arguments) or not arguments:
        say(HELP, end="")
        return 0 if arguments else 2
    asked = _parsed(arguments)
    _require_sense(asked)
    from zoo.generation.trained_model import open_model

    device = _device(asked.flags.get("--device"))
    prompts = [_read_stdin() if word == "-" else word for word in asked.words[1:]]
    source = open_model(asked.words[0])
    source.model.to(device)
    if "--fill" in asked.flags:
        _fill(source, prompts, as_json="--json" in asked.flags)
    else:
        _write(source, prompts, asked)
    return 0


# ----------------------------------------------------------------------------------------------------- what is asked


def _parsed(arguments: Sequence[str]) -> Asked:
    """Flags as ``--flag value`` or ``--flag=value``; after ``--`` nothing is a flag."""
    asked, rest = Asked(), list(arguments)
    while rest:
        word = rest.pop(0)
        flag, is_one, value = word.partition("=")
        if word == "--":
            asked.words += rest
            break
        if not word.startswith("--"):
            asked.words.append(word)
        elif flag in _VALUES and is_one:
            asked.take(flag, value)
        elif flag in _VALUES and rest:
            asked.take(flag, rest.pop(0))
        elif flag in _VALUES:
            asked.problems.append(f"{flag}: must be given a value")
        elif word in _SWITCHES:
            asked.flags[word] = True
        else:
            asked.problems.append(f"unknown flag {flag!r}: {suggest(flag, (*_VALUES, *_SWITCHES))}")
    return asked


def _require_sense(asked: Asked) -> None:
    """Refuse all that is wrong with the words alone."""
    flags, problems = asked.flags, asked.problems
    for flag, others in _APART.items():
        if flag in flags and (found := [other for other in others if other in flags]):
            problems.append(f"{flag}: makes no sense together with {', '.join(found)}")
    if "--length-penalty" in flags and not {"--beams", "--fill"} & set(flags):
        problems.append("--length-penalty: goes with --beams")
    problems += [f"{name}: must be positive: got {flags[name]}" for name in _LEAST if flags.get(name, 1) < 1]
    if "" in asked.stops:
        problems.append("--stop: must not be empty")
    problems += _drawing_problems(flags)
    if len(asked.words) < 2:
        what = "a prompt" if asked.words else "the folder of a run or checkpoint, and a prompt"
        problems.append(f"zoo generate must be given {what}")
    if asked.words[1:].count("-") > 1:
        problems.append("only one prompt can be read from the standard input: got - several times")
    if problems:
        raise Refused("\n".join(problems))


_LEAST = ("--tokens", "--samples", "--beams")


def _drawing_problems(flags: Mapping[str, Any]) -> list[str]:
    """What ``Sampling`` says of its values, by the names of the flags."""
    from zoo.generation.sampling import Sampling

    try:
        Sampling(**_drawing(flags))
    except Refused as error:
        return [
            f"--{line.split(':')[0].replace('_', '-')}:{line.partition(':')[2]}" for line in str(error).splitlines()
        ]
    return []


def _drawing(flags: Mapping[str, Any]) -> dict[str, Any]:
    names = {flag: flag.removeprefix("--").replace("-", "_") for flag in _DRAWING if flag != "--samples"}
    return {name: flags[flag] for flag, name in names.items() if flag in flags}


def _device(asked: str | None) -> torch.device:
    """The one that was asked for; else the first GPU if there is one, else the CPU."""
    import torch

    if asked is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:[0-9]+)?", asked):
        raise Refused(f"--device: must be cpu, cuda or cuda:N: got {asked}")
    device, there = torch.device(asked), torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= there:
        raise Refused(f"--device: {asked} is not there: this machine has {there} GPUs that torch can use")
    return device


def _read_stdin() -> str:
    """The standard input without the end of its last line."""
    return sys.stdin.read().removesuffix("\n")


# ---------------------------------------------------------------------------------------------------------- answers


def _write(source: TrainedModel, prompts: Sequence[str], asked: Asked) -> None:
    """One text as it comes; several, or JSON, when all are there."""
    from zoo import generation

    flags, model, prompting = asked.flags, source.model, source.prompting
    common: dict[str, Any] = {"tokens": flags.get("--tokens"), "cached": "--uncached" not in flags}
    samples = flags.get("--samples", 1)
    sampling = None if "--greedy" in flags else generation.Sampling(**_drawing(flags))
    if "--beams" in flags:
        penalty = flags.get("--length-penalty", 1.0)
        beams = flags["--beams"]
        texts = generation.search_texts(model, prompting, prompts, beams=beams, length_penalty=penalty, **common)
    elif len(prompts) * samples == 1 and "--json" not in flags:
        for piece in generation.stream(model, prompting, prompts[0], sampling=sampling, stops=asked.stops, **common):
            say_raw(piece, end="", flush=True)
        say()
        return
    else:
        texts = generation.generate(
            model, prompting, prompts, sampling=sampling, samples=samples, stops=asked.stops, **common
        )
    _show([(prompt, text) for prompt, text in zip(_each(prompts, samples), texts, strict=True)], "--json" in flags)


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
    """The text with its masks filled, and what else was likely."""
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

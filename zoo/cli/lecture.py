"""``zoo lecture``: lists the claims of the lecture, and shows or tests one of them."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from zoo.checks import Refused
from zoo.cli.lecture_claims import Claim, read_claims, read_model_overrides
from zoo.cli.parser import Given, Parser
from zoo.inspect.languages import LANGUAGES
from zoo.system.terminal import say

_RUNS = "runs=runs/lecture"
_WORDS = {
    "holds": {"en": "holds at this size", "zh": "在这个规模上成立"},
    "does_not_hold": {"en": "does not hold at this size", "zh": "在这个规模上不成立"},
    "undecided": {"en": "undecided at this size", "zh": "在这个规模上未定"},
}


def _problems(given: Given) -> Iterable[str]:
    if len(given.words) > 1:
        yield f"zoo lecture takes one claim: got {len(given.words)}"
    numbers = [str(claim.number) for claim in read_claims()]
    yield from (f"unknown claim {word}: choices: {', '.join(numbers)}" for word in given.words if word not in numbers)
    if not given.words:
        alone = [flag for flag in ("--model", "--full", "--dry-run") if flag in PARSER.collect_flags(given)]
        yield from (f"{flag}: goes with a claim, such as zoo lecture 9" for flag in alone)


PARSER = Parser(
    "lecture",
    ["[CLAIM]"],
    "show or test the claims of the lecture that the project grew out of",
    description=(
        "Without a number, list the twelve claims of the lecture on how the Transformer works, each with its verdict. "
        "With a number, run what shows or tests the claim, in a few minutes on two cores: a page that lets one look "
        "inside a small model, which is trained first, or the claim's study at reduced size, or both."
    ),
    arguments={"CLAIM": "the number of a claim, 1 to 12"},
    examples=["zoo lecture", "zoo lecture 9", "zoo lecture 8 --language zh", "zoo lecture 1 --model my_qwen"],
    check=_problems,
)
PARSER.add_value(
    "--language",
    "LANGUAGE",
    choices=LANGUAGES,
    help="en or zh: language of the model's texts and of the page. Default: en",
)
PARSER.add_value("--model", "FOLDER", help="look inside this run or checkpoint instead of training a small model")
PARSER.add_switch("--full", help="run the study at the size of its committed report")
PARSER.add_switch("--dry-run", help="print the commands and run nothing")
PARSER.add_switch("--json", help="print the claims as JSON")


def run(given: Given) -> int:
    """Lists the claims, or runs the commands of one."""
    claims = read_claims()
    chosen = [claim for claim in claims if not given.words or str(claim.number) == given.words[0]]
    if given.json:
        say(json.dumps([asdict(claim) for claim in chosen], indent=1, ensure_ascii=False))
        return 0
    if not given.words:
        for claim in chosen:
            _print_claim(claim)
        say("\nzoo lecture N shows or tests a claim")
        return 0
    return _run_claim(chosen[0], given)


def _print_claim(claim: Claim) -> None:
    say(f"\n{claim.number:>2}  {claim.title['en']}  {claim.title['zh']}")
    for language in LANGUAGES:
        say(f"    {claim.says[language]}")
    if claim.views:
        say(f"    page: {', '.join(claim.views)}")
    if claim.study:
        say(f"    zoo study {claim.study}")
    if claim.verdict:
        say(f"    {_WORDS[claim.verdict]['en']}  {_WORDS[claim.verdict]['zh']}")


def _run_claim(claim: Claim, given: Given) -> int:
    """Runs the commands of a claim one after another, each printed first, up to the first that fails."""
    language = given.language or "en"
    say(f"{claim.number}. {claim.title[language]}: {claim.says[language]}")
    for words in list_commands(claim, language, model=given.model, full=given.full):
        say(f"\n$ zoo {shlex.join(words)}")
        if not given.dry_run and (code := _run_command(words)):
            return code
    if claim.answer is not None:
        say(f"\n{claim.answer[language]}")
    return 0


def list_commands(claim: Claim, language: str, *, model: str | None, full: bool) -> Iterator[list[str]]:
    """Yields the commands that show and test a claim, without the word ``zoo``.

    Args:
        claim: the claim.
        language: language of the texts and of the page.
        model: folder of the model to look into; None trains a small one, or finds it where it was trained before.
        full: whether the study runs at its full size.
    """
    if texts := claim.texts.get(language):
        if model is None:
            overrides = [*read_model_overrides(language), _RUNS]
            yield ["train", *overrides]
            model = os.path.relpath(_find_run_folder(overrides))
        vectors = ["--vectors", claim.vectors[language]] if claim.vectors else []
        yield ["inspect", model, *texts, *vectors, "--language", language, "--out", f"lecture_{claim.number}.html"]
    if claim.study is not None:
        yield ["study", claim.study, *(() if full else claim.reduced)]


def _find_run_folder(overrides: Sequence[str]) -> Path:
    from zoo.config.checking import check_run
    from zoo.config.compose import compose_run
    from zoo.training.run import run_folder

    checked = check_run(compose_run(overrides))
    checked.require()
    return run_folder(checked).path


def _run_command(words: Sequence[str]) -> int:
    from zoo.system.signals import run_child

    sys.stdout.flush()
    code = run_child([sys.executable, "-m", "zoo", *words], os.environ)
    if code < 0:
        raise Refused(f"zoo {words[0]} ended by signal {-code}")
    return code

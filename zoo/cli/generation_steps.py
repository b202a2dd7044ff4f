"""``zoo generate --steps``: the loop of generation, one line for each token."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.generation.sampling import Sampling
from zoo.generation.steps import Step, TokenCandidate, generate_with_candidates
from zoo.generation.trained_model import TrainedModel
from zoo.system.terminal import escape_controls, say, say_raw

_CANDIDATES = 5
_BAR = 12  # characters of a probability of 1


def print_steps(
    source: TrainedModel, prompt: str, *, tokens: int | None, sampling: Sampling | None, cached: bool
) -> None:
    """Prints the chosen token of each step with its probability and those of the others, and then the text."""
    say("     chosen        probability            likeliest tokens")
    text = ""
    for number, step in enumerate(
        generate_with_candidates(
            source.model,
            source.prompting,
            prompt,
            tokens=tokens,
            sampling=sampling,
            candidates=_CANDIDATES,
            cached=cached,
        ),
        1,
    ):
        say(f"{number:>4} {' '.join(_format_step(step))}")
        text = step.text
    say()
    say_raw(text)


def _format_step(step: Step) -> Iterator[str]:
    chosen = step.candidates[step.chosen]
    yield f"{_spell(chosen):<13}"
    yield f"{chosen.probability:>6.1%}"
    yield f"{'█' * round(_BAR * chosen.probability):<{_BAR}}"
    yield "  " + "  ".join(f"{_spell(one)} {one.probability:.0%}" for one in step.candidates[:_CANDIDATES])


def _spell(candidate: TokenCandidate) -> str:
    """Spells a token in one line; spaces and line breaks have signs."""
    text = candidate.label.text.replace(" ", "␣").replace("\n", "⏎")
    return escape_controls(text) or "∅"

"""Texts from prompts: all at once, or piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from torch import Tensor

from zoo.checks import Refused
from zoo.generation.beams import search
from zoo.generation.greedy import likeliest
from zoo.generation.loop import require_numbers, room, steps
from zoo.generation.prompting import Prompting
from zoo.generation.sampling import Sampling
from zoo.generation.transcript import Transcript
from zoo.model.variants.encoder import Encoder
from zoo.model.variants.variant import Variant


def generate(
    model: Variant,
    prompting: Prompting,
    prompts: Sequence[str],
    *,
    tokens: int | None = None,
    sampling: Sampling | None = None,
    samples: int = 1,
    stops: Sequence[str] = (),
    cached: bool = True,
) -> list[str]:
    """What a model writes after prompts, which are read side by side.

    Args:
        model: a decoder or an encoder-decoder with a head, in evaluation mode.
        prompting: makes tokens of texts and texts of tokens.
        prompts: texts; the decoder of an encoder-decoder answers them.
        tokens: the largest number of tokens to write; None: 128, or fewer where positions end.
        sampling: how the next token is drawn; None is greedy, the likeliest token.
        samples: texts of each prompt; the first has the seed of ``sampling``, the others those that follow.
        stops: strings that end a text and are no part of it.
        cached: whether what was read is remembered, or read again for each token.
    Returns:
        texts without their prompts, all those of the first prompt first.
    Raises:
        Refused: if the model writes no text, or has no room for prompts and tokens.
    """
    texts = [""] * (len(prompts) * samples)
    for row, piece in pieces(
        model, prompting, prompts, tokens=tokens, sampling=sampling, samples=samples, stops=stops, cached=cached
    ):
        texts[row] += piece
    return texts


def stream(
    model: Variant,
    prompting: Prompting,
    prompt: str,
    *,
    tokens: int | None = None,
    sampling: Sampling | None = None,
    stops: Sequence[str] = (),
    cached: bool = True,
) -> Iterator[str]:
    """The text that ``generate`` gives for one prompt, in pieces, each as soon as it is final."""
    for _, piece in pieces(
        model, prompting, [prompt], tokens=tokens, sampling=sampling, samples=1, stops=stops, cached=cached
    ):
        yield piece


def pieces(
    model: Variant,
    prompting: Prompting,
    prompts: Sequence[str],
    *,
    tokens: int | None,
    sampling: Sampling | None,
    samples: int,
    stops: Sequence[str],
    cached: bool,
) -> Iterator[tuple[int, str]]:
    """Which text goes on, and how; arguments as of ``generate``."""
    require_writes(model)
    if samples < 1 or (samples > 1 and sampling is None):
        raise Refused(f"samples: must be 1 where nothing is drawn, else positive: got {samples}")
    if "" in stops:
        raise Refused("stops: must not be empty strings")
    if not prompts:
        return
    rows = [prompting.encode(prompt, model.vocabulary) for prompt in prompts for _ in range(samples)]
    inputs = prompting.inputs(model, rows)
    limit = room(model, inputs, tokens)
    choose = likeliest if sampling is None else sampling.choose([*range(samples)] * len(prompts))
    texts = [Transcript(after(prompting, model, row), prompting.ends, stops) for row in rows]
    for step in steps(model, inputs, limit, lambda logits: choose(require_numbers(logits)), cached=cached):
        yield from _added(texts, step)
        if all(text.ended for text in texts):
            return
    yield from ((row, piece) for row, text in enumerate(texts) if (piece := text.finish()))


def beam_texts(
    model: Variant,
    prompting: Prompting,
    prompts: Sequence[str],
    *,
    beams: int,
    tokens: int | None = None,
    length_penalty: float = 1.0,
    cached: bool = True,
) -> list[str]:
    """The best text that beam search finds for each prompt; arguments as of ``generate`` and ``search``."""
    require_writes(model)
    if not prompts:
        return []
    rows = [prompting.encode(prompt, model.vocabulary) for prompt in prompts]
    inputs = prompting.inputs(model, rows)
    limit = room(model, inputs, tokens)
    found = search(model, inputs, prompting.ends, limit, beams=beams, length_penalty=length_penalty, cached=cached)
    texts = []
    for row, best in zip(rows, found, strict=True):
        *before, last = best[0].tokens
        texts.append(after(prompting, model, row)(before if last in prompting.ends else best[0].tokens))
    return texts


def require_writes(model: Variant) -> None:
    """Refuse a model that writes no text."""
    if isinstance(model, Encoder):
        raise Refused("an encoder writes no text: it fills masks (zoo.generation.fill, --fill)")
    if model.head is None:
        raise Refused("a model without a head (model.head=null) has hidden states and says nothing of tokens")


def after(prompting: Prompting, model: Variant, prompt: Sequence[int]) -> Callable[[Sequence[int]], str]:
    """Tokens to the text that they add: some tokenizers begin a text without the space that stands inside it."""
    goes_on = not prompting.answers and (model.name == "decoder" or prompting.start is None)
    if not goes_on:
        return prompting.decode
    return partial(_rest, prompting, list(prompt), prompting.decode(prompt))


def _rest(prompting: Prompting, prompt: list[int], said: str, tokens: Sequence[int]) -> str:
    whole = prompting.decode([*prompt, *tokens])
    return whole[len(said) :] if whole.startswith(said) else prompting.decode(tokens)


def _added(texts: Sequence[Transcript], step: Tensor) -> Iterator[tuple[int, str]]:
    for row, (text, token) in enumerate(zip(texts, step.tolist(), strict=True)):
        if not text.ended and (piece := text.add(token)):
            yield row, piece

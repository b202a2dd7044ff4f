"""Text generation: complete texts, or streams of pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from torch import Tensor

from zoo.checks import Refused
from zoo.generation.beams import search
from zoo.generation.greedy import pick_likeliest
from zoo.generation.loop import count_tokens_left, generate_steps, require_numbers
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
    """Generates texts after prompts, which are processed as one batch.

    Args:
        model: a decoder or an encoder-decoder with a head, in evaluation mode.
        prompting: encodes prompts and decodes tokens.
        prompts: texts; an encoder-decoder reads them as sources.
        tokens: the largest number of tokens to generate; None for 128, or fewer if the model has fewer positions.
        sampling: sampling parameters; None for greedy decoding.
        samples: number of texts for each prompt; the first has the seed of ``sampling``, the next ones count up.
        stops: strings that end a text and are not part of it.
        cached: whether to keep caches; without them, all tokens are read again at each step.
    Returns:
        texts without their prompts; all samples of the first prompt come first.
    Raises:
        Refused: if the model cannot generate text, or has too few positions for prompts and tokens.
    """
    texts = [""] * (len(prompts) * samples)
    for row, piece in generate_pieces(
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
    """Yields the text that :func:`generate` returns for one prompt, in pieces, each as soon as it is final."""
    for _, piece in generate_pieces(
        model, prompting, [prompt], tokens=tokens, sampling=sampling, samples=1, stops=stops, cached=cached
    ):
        yield piece


def generate_pieces(
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
    """Yields index of a text and its next piece; arguments as of :func:`generate`."""
    require_generative(model)
    if samples < 1 or (samples > 1 and sampling is None):
        raise Refused(f"samples: must be positive, and 1 for greedy decoding: got {samples}")
    if "" in stops:
        raise Refused("stops: must not be empty strings")
    if not prompts:
        return
    rows = [prompting.encode(prompt, model.vocabulary) for prompt in prompts for _ in range(samples)]
    inputs = prompting.build_inputs(model, rows)
    limit = count_tokens_left(model, inputs, tokens)
    choose = pick_likeliest if sampling is None else sampling.make_sampler([*range(samples)] * len(prompts))
    texts = [Transcript(make_decoder(prompting, model, row), prompting.ends, stops) for row in rows]
    for step in generate_steps(model, inputs, limit, lambda logits: choose(require_numbers(logits)), cached=cached):
        yield from _add_tokens(texts, step)
        if all(text.ended for text in texts):
            return
    yield from ((row, piece) for row, text in enumerate(texts) if (piece := text.finish()))


def search_texts(
    model: Variant,
    prompting: Prompting,
    prompts: Sequence[str],
    *,
    beams: int,
    tokens: int | None = None,
    length_penalty: float = 1.0,
    cached: bool = True,
) -> list[str]:
    """Finds the best text for each prompt by beam search; arguments as of :func:`generate` and :func:`search`."""
    require_generative(model)
    if not prompts:
        return []
    rows = [prompting.encode(prompt, model.vocabulary) for prompt in prompts]
    inputs = prompting.build_inputs(model, rows)
    limit = count_tokens_left(model, inputs, tokens)
    found = search(model, inputs, prompting.ends, limit, beams=beams, length_penalty=length_penalty, cached=cached)
    texts = []
    for row, best in zip(rows, found, strict=True):
        *before, last = best[0].tokens
        texts.append(make_decoder(prompting, model, row)(before if last in prompting.ends else best[0].tokens))
    return texts


def require_generative(model: Variant) -> None:
    """Requires a model that can generate text."""
    if isinstance(model, Encoder):
        raise Refused("an encoder cannot generate text, but can fill masks (zoo.generation.fill, --fill)")
    if model.head is None:
        raise Refused("the model has no head (model.head=null), so it predicts no tokens")


def make_decoder(prompting: Prompting, model: Variant, prompt: Sequence[int]) -> Callable[[Sequence[int]], str]:
    """Makes a function that decodes generated tokens to the text that they add to the prompt.

    Some tokenizers drop the space at the beginning of a text, so that a continuation must be decoded with its prompt.
    """
    continues = not prompting.answers and (model.name == "decoder" or prompting.start is None)
    if not continues:
        return prompting.decode
    return partial(_decode_continuation, prompting, list(prompt), prompting.decode(prompt))


def _decode_continuation(prompting: Prompting, prompt: list[int], prompt_text: str, tokens: Sequence[int]) -> str:
    whole = prompting.decode([*prompt, *tokens])
    return whole[len(prompt_text) :] if whole.startswith(prompt_text) else prompting.decode(tokens)


def _add_tokens(texts: Sequence[Transcript], step: Tensor) -> Iterator[tuple[int, str]]:
    for row, (text, token) in enumerate(zip(texts, step.tolist(), strict=True)):
        if not text.ended and (piece := text.add(token)):
            yield row, piece

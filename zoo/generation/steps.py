"""Generation step by step: the candidates for the next token with their probabilities, and the one that is chosen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.generation.greedy import pick_likeliest
from zoo.generation.loop import count_tokens_left, generate_steps, require_numbers
from zoo.generation.prompting import Prompting
from zoo.generation.sampling import Sampling
from zoo.generation.texts import require_generative
from zoo.generation.token_labels import TokenLabel, TokenLabeler
from zoo.model.variants.variant import Variant

TEMPERATURES = tuple(round(0.1 * step, 1) for step in range(1, 21))
"""Temperatures at which steps record the probability of all tokens that are not candidates."""


@dataclass(frozen=True)
class TokenCandidate:
    """A token that may come next.

    Args:
        label: the token.
        logit: its logit, less that of the likeliest token.
        probability: its probability at temperature 1, among all tokens.
        chance: its probability of being drawn, after temperature, top-k and top-p; 1 or 0 in greedy decoding.
    """

    label: TokenLabel
    logit: float
    probability: float
    chance: float


@dataclass(frozen=True)
class Step:
    """A step of generation.

    Args:
        candidates: the likeliest tokens, likeliest first, and the chosen one.
        chosen: index of the chosen token among ``candidates``.
        entropy: entropy of the probabilities at temperature 1, in bits.
        rest: logarithm of Σ exp(logit / T) over all tokens that are no candidates, for each T of ``TEMPERATURES``.
        text: the whole text so far, with the chosen token.
        ended: whether the chosen token ends the text.
    """

    candidates: tuple[TokenCandidate, ...]
    chosen: int
    entropy: float
    rest: tuple[float, ...]
    text: str
    ended: bool


@torch.no_grad()
def generate_with_candidates(
    model: Variant,
    prompting: Prompting,
    prompt: str,
    *,
    tokens: int | None = None,
    sampling: Sampling | None = None,
    candidates: int = 10,
    cached: bool = True,
) -> Iterator[Step]:
    """Generates a text and yields each step as soon as its token is chosen.

    The tokens are those that :func:`zoo.generation.generate` chooses.

    Args:
        model: a decoder or an encoder-decoder with a head, in evaluation mode.
        prompting: encodes the prompt and decodes tokens.
        prompt: a text; an encoder-decoder reads it as its source.
        tokens: the largest number of tokens to generate; None for 128, or fewer if the model has fewer positions.
        sampling: sampling parameters; None for greedy decoding.
        candidates: number of likeliest tokens in each step.
        cached: whether to keep caches.
    Raises:
        Refused: if the model cannot generate text, or has too few positions.
    """
    require_generative(model)
    row = prompting.encode(prompt, model.vocabulary)
    inputs = prompting.build_inputs(model, [row])
    limit = count_tokens_left(model, inputs, tokens)
    pick = pick_likeliest if sampling is None else sampling.make_sampler([0])
    seen: list[Tensor] = []

    def choose(logits: Tensor) -> Tensor:
        seen[:] = [require_numbers(logits)[0]]
        return pick(logits)

    labeler, written = TokenLabeler(prompting.tokenizer), list(inputs.tokens[0].tolist())
    start = len(written)
    for token in generate_steps(model, inputs, limit, choose, cached=cached):
        chosen = int(token)
        found, place = _list_candidates(seen[0], chosen, candidates, sampling, labeler, written)
        written.append(chosen)
        text = prompting.decode(written if model.name == "decoder" else written[start:])
        ended = chosen in prompting.ends
        yield Step(found, place, *_describe_rest(seen[0], found), text, ended)
        if ended:
            return


def _list_candidates(
    logits: Tensor, chosen: int, count: int, sampling: Sampling | None, labeler: TokenLabeler, before: Sequence[int]
) -> tuple[tuple[TokenCandidate, ...], int]:
    """Lists the likeliest tokens and the chosen one, and the index of that one."""
    ids = logits.topk(min(count, len(logits))).indices.tolist()
    if chosen not in ids:
        ids.append(chosen)
    shifted = logits.double() - logits.max()
    probabilities = shifted.softmax(dim=-1)
    if sampling is None:
        chances = torch.zeros_like(probabilities)
        chances[chosen] = 1.0
    else:
        chances = sampling.compute_probabilities(logits)
    found = tuple(
        TokenCandidate(
            labeler.label_candidate(token, before),
            float(shifted[token]),
            float(probabilities[token]),
            float(chances[token]),
        )
        for token in ids
    )
    return found, ids.index(chosen)


def _describe_rest(logits: Tensor, candidates: Sequence[TokenCandidate]) -> tuple[float, tuple[float, ...]]:
    """Computes the entropy in bits, and the logarithms of the sums over all tokens that are no candidates."""
    shifted = logits.double() - logits.max()
    log_probabilities = shifted.log_softmax(dim=-1)
    entropy = -float((log_probabilities.exp() * log_probabilities.clamp(min=-1e9)).sum()) / math.log(2)
    others = shifted.clone()
    others[[candidate.label.id for candidate in candidates]] = -torch.inf
    sums = [max(-1e9, float((others / temperature).logsumexp(dim=-1))) for temperature in TEMPERATURES]
    return entropy, tuple(sums)

"""The loop: read, choose, and read what was chosen."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from zoo.checks import Refused
from zoo.generation.reader import Reading
from zoo.generation.sampling import Choose
from zoo.model.interfaces import Inputs
from zoo.model.variants.encoder_decoder import EncoderDecoder
from zoo.model.variants.variant import Variant

_TOKENS = 128  # written where nobody says how many


def steps(model: Variant, inputs: Inputs, limit: int, choose: Choose, *, cached: bool = True) -> Iterator[Tensor]:
    """The tokens that follow ``inputs``, one of each row at a time: ``[batch]``, at most ``limit`` times.

    Whoever asks for them says when it is enough; rows that have ended go on with the others until then.

    Args:
        model: a decoder or an encoder-decoder, in evaluation mode.
        inputs: prompts ``[batch, length]``, padded on the left where they differ in length.
        limit: positive; the last token is not read.
        choose: the next token.
        cached: as in ``Reading``.
    """
    reading = Reading(model, inputs, limit, cached=cached)
    for number in range(limit):
        token = choose(reading.logits)
        yield token
        if number + 1 < limit:
            reading.add(token)


def room(model: Variant, inputs: Inputs, asked: int | None) -> int:
    """How many tokens to write after ``inputs``.

    Args:
        model: that writes.
        inputs: the prompts.
        asked: at most as many; None: 128, or fewer where positions end.
    Raises:
        Refused: if the prompts are longer than the positions of the model, or leave no room for so many tokens.
    """
    if asked is not None and asked < 1:
        raise Refused(f"tokens: must be positive: got {asked}")
    if isinstance(model, EncoderDecoder) and inputs.source is not None:
        _require_read(inputs.source, model.encoder.limit)
    most = model.reader.limit
    _require_read(inputs.tokens, most)
    if most is None:
        return asked or _TOKENS
    length = inputs.tokens.shape[1]
    left = most - length + 1  # the last one that is written is not read
    if asked is not None and asked > left:
        after = f"after a prompt of {length} tokens a model of {most} positions writes at most {left}"
        raise Refused(f"tokens: {after}: got {asked}")
    return min(_TOKENS, left) if asked is None else asked


def require_numbers(logits: Tensor) -> Tensor:
    """The same logits; refuse a model that says nothing, for it diverged in training."""
    if bool(logits.isnan().any()):
        raise Refused("the model's logits are not numbers: did its training diverge?")
    return logits


def _require_read(tokens: Tensor, most: int | None) -> None:
    if most is not None and tokens.shape[1] > most:
        raise Refused(f"the prompt is too long: the model has {most} positions: got {tokens.shape[1]} tokens")

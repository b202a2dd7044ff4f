"""Inspection of a model from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zoo.api.loaded_model import LoadedModel, load
from zoo.generation import Sampling
from zoo.inspect.inspect_model import inspect_model
from zoo.inspect.inspection import Inspection


def inspect(
    model: str | Path | LoadedModel,
    text: str,
    second: str | None = None,
    *,
    word: str | None = None,
    words: Sequence[str] = (),
    ablate: Sequence[str] = (),
    tokens: int | None = None,
    sampling: Sampling | None = None,
) -> Inspection:
    """Shows what happens inside a model that reads a text and goes on with it.

    The result displays itself as a page in a notebook, and writes it with ``write(file)``.

    Args:
        model: a loaded model, or the folder of a run or checkpoint.
        text: a text of at least one token.
        second: another text, with which the contexts of a word are compared.
        word: a word of both texts; None for the longest that both have.
        words: further words on the map of word vectors; ``king-man+woman`` computes with three.
        ablate: parts to switch off one at a time, such as ``layer.0.attention.head.2``, or all ``heads``,
            ``sublayers``, ``norms`` or ``residuals``; without any, all sublayers and heads for which there is time.
        tokens: number of tokens to generate, 0 for none; None for 24, or fewer where positions end.
        sampling: sampling parameters; None for greedy decoding.
    Raises:
        Refused: if the folder cannot be read, or the text has no token or too many.
    """
    loaded = model if isinstance(model, LoadedModel) else load(model)
    return inspect_model(
        loaded.network,
        loaded.prompting,
        text,
        loaded.folder.name,
        second=second,
        word=word,
        folder=loaded.folder,
        words=words,
        ablate=ablate,
        tokens=tokens,
        sampling=sampling,
    )

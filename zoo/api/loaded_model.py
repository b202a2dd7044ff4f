"""A trained or published model as a module that writes text."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, overload

import tokenizers
import torch
from torch import Tensor, nn

from zoo import generation
from zoo.checks import Refused, suggest
from zoo.generation import FilledText, Prompting, Sampling
from zoo.generation.trained_model import build_prompting
from zoo.hub.saved_model import SavedModel, load_saved_model

Prompts = list[str] | tuple[str, ...]
_DRAWING = ("temperature", "top_k", "top_p", "seed")


class GenerationOptions(TypedDict, total=False):
    """Options of ``generate``, as those of the command ``zoo generate``; tokens are drawn unless another is given.

    Attributes:
        max_tokens: the largest number of tokens to write; by default 128, or fewer where positions end.
        temperature: divides the logits before a token is drawn; 1 by default.
        top_k: draws from so many of the likeliest tokens.
        top_p: draws from the likeliest tokens that together have this probability.
        seed: of what is drawn; 0 by default.
        greedy: takes the likeliest token.
        beams: searches with so many beams.
        length_penalty: above 0 beams favor long texts, below 0 short ones; 1 by default.
        stop: strings that end a text and are no part of it.
    """

    max_tokens: int | None
    temperature: float
    top_k: int | None
    top_p: float | None
    seed: int
    greedy: bool
    beams: int | None
    length_penalty: float
    stop: Prompts


class LoadedModel(nn.Module):
    """A model from a folder, in evaluation mode.

    Attributes:
        network: the model itself, of variant decoder, encoder, or encoder-decoder.
        tokenizer: that of the run or checkpoint; None if the folder has none.
        config: ``config.yaml`` of a run, ``config.json`` of a checkpoint.
        folder: where it was loaded from, as an absolute path.
    """

    def __init__(self, found: SavedModel) -> None:
        super().__init__()
        self.network = found.model
        self.tokenizer: tokenizers.Tokenizer | None = found.tokenizer
        self.config, self.folder = found.config, found.folder.resolve()
        self._found = found
        self.eval()

    def forward(self, *tokens: Tensor, **masks: Tensor) -> Tensor:
        """Computes logits ``[batch, length, vocabulary]``; arguments as of ``network``."""
        logits: Tensor = self.network(*tokens, **masks)
        return logits

    @cached_property
    def prompting(self) -> Prompting:
        """Tokenizer and special tokens around a prompt, as in training.

        Raises:
            Refused: if there is no tokenizer, or the model was not trained to predict tokens.
        """
        return build_prompting(self._found)

    @overload
    def generate(self, prompt: str, *, stream: Literal[False] = False, **options: Unpack[GenerationOptions]) -> str: ...
    @overload
    def generate(
        self, prompt: Prompts, *, stream: Literal[False] = False, **options: Unpack[GenerationOptions]
    ) -> list[str]: ...
    @overload
    def generate(
        self, prompt: str, *, stream: Literal[True], **options: Unpack[GenerationOptions]
    ) -> Iterator[str]: ...
    def generate(
        self, prompt: str | Prompts, *, stream: bool = False, **options: Unpack[GenerationOptions]
    ) -> str | list[str] | Iterator[str]:
        """Generates a text for a prompt, or one for each of several, without the prompts.

        Args:
            prompt: the decoder of an encoder-decoder answers it, a decoder goes on from it.
            stream: returns an iterator over pieces of the text, each as soon as it is final.
            options: see :class:`GenerationOptions`.
        Raises:
            Refused: with every option that is out of range or makes no sense beside others, or if the model writes no
                text.
        """
        _require_sense(prompt, stream, options)
        if stream and isinstance(prompt, str):
            return self._stream(prompt, options)
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        limit = options.get("max_tokens")
        if (beams := options.get("beams")) is not None:
            penalty = options.get("length_penalty", 1.0)
            texts = generation.search_texts(
                self.network, self.prompting, prompts, beams=beams, tokens=limit, length_penalty=penalty
            )
        else:
            how, stops = _sampling(options), options.get("stop", ())
            texts = generation.generate(self.network, self.prompting, prompts, tokens=limit, sampling=how, stops=stops)
        return texts[0] if isinstance(prompt, str) else texts

    def _stream(self, prompt: str, options: GenerationOptions) -> Iterator[str]:
        how, limit, stops = _sampling(options), options.get("max_tokens"), options.get("stop", ())
        return generation.stream(self.network, self.prompting, prompt, tokens=limit, sampling=how, stops=stops)

    def fill(self, text: str, *, candidates: int = 5) -> FilledText:
        """Fills the masks of a text, which an encoder was trained to do; ``candidates`` are named for each mask."""
        return generation.fill(self.network, self.prompting, [text], candidates=candidates)[0]


def load(folder: str | Path, *, device: str | torch.device = "cpu") -> LoadedModel:
    """Loads the model of a finished run or of a checkpoint folder.

    Args:
        folder: of a run (``runs/…``), or of a checkpoint with its ``config.json``.
        device: where the weights go.
    Raises:
        Refused: if it is neither, or something in it cannot be read.
    """
    return LoadedModel(load_saved_model(folder)).to(device)


@overload
def generate(
    model: str | Path | LoadedModel,
    prompt: str,
    *,
    stream: Literal[False] = False,
    **options: Unpack[GenerationOptions],
) -> str: ...
@overload
def generate(
    model: str | Path | LoadedModel,
    prompt: Prompts,
    *,
    stream: Literal[False] = False,
    **options: Unpack[GenerationOptions],
) -> list[str]: ...
@overload
def generate(
    model: str | Path | LoadedModel, prompt: str, *, stream: Literal[True], **options: Unpack[GenerationOptions]
) -> Iterator[str]: ...
def generate(
    model: str | Path | LoadedModel, prompt: Any, *, stream: Any = False, **options: Unpack[GenerationOptions]
) -> Any:
    """Generates as :meth:`LoadedModel.generate` does, with a model or with that of a folder."""
    loaded = model if isinstance(model, LoadedModel) else load(model)
    return loaded.generate(prompt, stream=stream, **options)


def _sampling(options: GenerationOptions) -> Sampling | None:
    """Returns how tokens are drawn; None for the likeliest token."""
    if options.get("greedy"):
        return None
    given: dict[str, Any] = {name: value for name, value in options.items() if name in _DRAWING}
    return Sampling(**given)


def _require_sense(prompt: str | Prompts, stream: bool, options: GenerationOptions) -> None:
    """Refuses all that is wrong with the options alone."""
    known = GenerationOptions.__annotations__
    problems = [f"unknown option {name!r}: {suggest(name, known)}" for name in options if name not in known]
    drawing = [name for name in _DRAWING if name in options]
    if options.get("greedy") and drawing:
        problems.append(f"greedy makes no sense together with {', '.join(drawing)}")
    beams, limit = options.get("beams"), options.get("max_tokens")
    others = [*drawing, *(name for name in ("greedy", "stop") if options.get(name)), *(["stream"] if stream else [])]
    if beams is not None and others:
        problems.append(f"beams makes no sense together with {', '.join(others)}")
    if beams is None and "length_penalty" in options:
        problems.append("length_penalty needs beams: got beams=None")
    if stream and not isinstance(prompt, str):
        problems.append(f"stream needs one prompt: got {len(prompt)}")
    for name, value in (("max_tokens", limit), ("beams", beams)):
        if value is not None and value < 1:
            problems.append(f"{name} must be positive: got {value}")
    if isinstance(options.get("stop", ()), str) or "" in options.get("stop", ()):
        problems.append(f"stop must be strings that are not empty: got {options.get('stop')!r}")
    try:
        _sampling(options)
    except Refused as error:
        problems += str(error).splitlines()
    if problems:
        raise Refused("\n".join(problems))

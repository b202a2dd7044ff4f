"""A tiny model of ``transformers`` and ours of its checkpoint, compared in everything that a user sees.

Each row is put alone and without padding to ``transformers``; ours reads all rows at once, padded left and right.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

from zoo.data.interfaces import Vocabulary
from zoo.generation.greedy import write
from zoo.generation.loop import generate_steps
from zoo.hub import load_network, save
from zoo.hub.family_index import find_family
from zoo.hub.weights import iterate_published_tensors
from zoo.model.inputs import Inputs

LENGTHS = (13, 8, 3)
SOURCES = (5, 11, 9)
NEW = 20


@dataclass(frozen=True)
class Case:
    """One configuration of a family.

    Args:
        name: what is special about it.
        config: makes the config of ``transformers``.
        model: its class; of a headless one, hidden states are compared.
        change: what is done to the model first, for what its config cannot say.
    """

    name: str
    config: Callable[[], Any]
    model: type[Any]
    change: Callable[[Any], None] | None = None

    @property
    def headless(self) -> bool:
        return self.model.__name__.endswith("Model") and "LMHead" not in self.model.__name__


@dataclass(frozen=True)
class Measured:
    """Largest absolute differences, and what must hold exactly."""

    forward: float
    gradient: float
    back: float
    decoded: bool | None
    keys: tuple[str, ...]
    scale: float


def cases() -> Iterator[tuple[str, Case]]:
    """All configurations, with the file that they stand in."""
    for path in sorted((Path(__file__).parent / "cases").glob("*.py")):
        for case in importlib.import_module(f"tests.hub.cases.{path.stem}").CASES:
            yield path.stem, case


def made(case: Case, seed: int = 0) -> nn.Module:
    """A model whose every weight is away from its first value, with logits of order 1."""
    torch.manual_seed(seed)
    config = case.config()
    config._attn_implementation = "eager"
    model: nn.Module = case.model(config).eval()
    if case.change is not None:
        case.change(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn_like(parameter)
            vector = parameter.ndim < 2 or "norm" in name.lower()
            parameter.add_(noise * 0.1) if vector else parameter.copy_(noise * 0.7 * parameter.shape[-1] ** -0.5)
        for name, buffer in model.named_buffers():
            if "correction_bias" in name:  # of routers
                buffer.copy_(torch.rand_like(buffer) * 0.2)
    return model


def rows(model: Any, lengths: Sequence[int], seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    size = model.config.vocab_size
    return [torch.randint(5, size, (length,), generator=generator) for length in lengths]


def padded(parts: Sequence[Tensor], left: bool) -> tuple[Tensor, Tensor]:
    """Rows side by side with zeros before or after, and the mask of what is real."""
    longest = max(map(len, parts))
    sides = [(longest - len(part), 0) if left else (0, longest - len(part)) for part in parts]
    return (
        torch.stack([F.pad(part, side) for part, side in zip(parts, sides, strict=True)]),
        torch.stack([F.pad(torch.ones_like(part), side) for part, side in zip(parts, sides, strict=True)]),
    )


def theirs(model: Any, case: Case, parts: Sequence[Tensor], sources: Sequence[Tensor] | None) -> Tensor:
    """Logits, or hidden states, of every token of every row, row by row, each alone."""
    out = []
    for number, part in enumerate(parts):
        if sources is None:
            given = {"input_ids": part[None]}
        else:
            given = {"input_ids": sources[number][None], "decoder_input_ids": part[None]}
        found = model(**given)
        out.append((found.last_hidden_state if case.headless else found.logits)[0])
    return torch.cat(out)


def ours(model: Any, case: Case, parts: Sequence[Tensor], sources: Sequence[Tensor] | None, left: bool) -> Tensor:
    """The same of our model, which reads all rows at once."""
    tokens, mask = padded(parts, left)
    asked = model.hidden_states if case.headless else model
    if sources is None:
        out = asked(tokens, mask)
    else:
        source, source_mask = padded(sources, left)
        out = asked(source, tokens, source_mask, mask)
    found: Tensor = out[mask.bool()]
    return found


def measure(case: Case, folder: Path) -> Measured:
    """Save a model of theirs, load it as ours, compare, save it again, and load that as theirs."""
    model: Any = made(case)
    model.save_pretrained(folder / "theirs")
    loaded: Any = load_network(folder / "theirs")
    parts = rows(model, LENGTHS, 1)
    sources = rows(model, SOURCES, 2) if loaded.plan.variant == "encoder_decoder" else None
    with torch.no_grad():
        expected = theirs(model, case, parts, sources)
        found = [ours(loaded, case, parts, sources, left) for left in (False, True)]
    forward = max(float((each - expected).abs().max()) for each in found)
    gradient = _gradient(model, loaded, case, parts, sources, folder)
    decoded = None if loaded.plan.variant == "encoder" or case.headless else _decoded(model, loaded, parts, sources)
    save(loaded, folder / "ours")
    again, info = case.model.from_pretrained(folder / "ours", output_loading_info=True, attn_implementation="eager")
    keys = [
        f"{kind}: {sorted(info[kind])}" for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") if info[kind]
    ]
    with torch.no_grad():
        back = float((theirs(again.eval(), case, parts, sources) - expected).abs().max())
    return Measured(forward, gradient, back, decoded, tuple(keys), float(expected.std()))


def _gradient(
    model: Any, loaded: Any, case: Case, parts: Sequence[Tensor], sources: Sequence[Tensor] | None, folder: Path
) -> float:
    """The largest difference of a gradient, of all tensors under their names in a checkpoint.

    Gradients take the places of weights, so that both sides write them as they write these.
    """
    weight = torch.randn(theirs(model, case, parts, sources).shape, generator=torch.Generator().manual_seed(3))
    weight = weight / len(weight)
    for side, out in ((model, theirs(model, case, parts, sources)), (loaded, ours(loaded, case, parts, sources, True))):
        side.zero_grad()
        value = (out * weight).sum() if case.headless else -(out.log_softmax(-1) * weight).sum()
        value.backward()
    copies = [copy.deepcopy(model), copy.deepcopy(loaded)]
    with torch.no_grad():
        for side, original in zip(copies, (model, loaded), strict=True):
            for parameter, source in zip(side.parameters(), original.parameters(), strict=True):
                parameter.copy_(torch.zeros_like(source) if source.grad is None else source.grad)
    copies[0].save_pretrained(folder / "gradients")
    expected = {
        name: tensor
        for path in (folder / "gradients").glob("*.safetensors")
        for name, tensor in load_file(path).items()
    }
    family = find_family(model.config.model_type)
    found = dict(iterate_published_tensors(copies[1], family))
    return max(
        float((tensor - expected[name]).abs().max()) for name, tensor in found.items() if "correction_bias" not in name
    )


def _decoded(model: Any, loaded: Any, parts: Sequence[Tensor], sources: Sequence[Tensor] | None) -> bool:
    """Whether decoding with caches writes the same tokens; ours in rows of different lengths.

    Twice: greedily, and by the third likeliest token, for a tied model of random weights says its last token again
    and again.
    """
    config = GenerationConfig(do_sample=False, max_new_tokens=NEW, pad_token_id=0, eos_token_id=None)
    start = getattr(model.config, "decoder_start_token_id", None) or 0
    config.decoder_start_token_id = None if sources is None else start
    model.generation_config = copy.deepcopy(config)  # which would fill in what the one that is asked for leaves open
    if sources is None:
        tokens, mask = padded(parts, True)
        asked = [Inputs(tokens, mask - 1)]
    else:
        begin = torch.full((len(sources), 1), start)
        both = [padded(sources, left) for left in (False, True)]
        asked = [Inputs(begin, source=source, source_segment=mask - 1) for source, mask in both]
    never = Vocabulary(model.config.vocab_size, 0, 1, -1, 2, 3, 4, ())
    greedy = [write(loaded, inputs, never, NEW) for inputs in asked]
    third = [torch.stack(list(generate_steps(loaded, inputs, NEW, _third)), dim=1).tolist() for inputs in asked]
    prompts = parts if sources is None else sources
    skipped = [len(row) if sources is None else 1 for row in prompts]
    for ours, processors in ((greedy, []), (third, [_OnlyThird()])):
        expected = [
            model.generate(
                row[None],
                attention_mask=torch.ones_like(row)[None],
                generation_config=config,
                logits_processor=LogitsProcessorList(processors),
            )[0, skip:].tolist()
            for row, skip in zip(prompts, skipped, strict=True)
        ]
        if any(found != expected for found in ours):
            return False
    return True


def _third(logits: Tensor) -> Tensor:
    """The third likeliest token of each row ``[batch]``."""
    return logits.topk(3, dim=-1).indices[:, 2]


class _OnlyThird(LogitsProcessor):
    """The same for ``generate``."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        only = torch.full_like(scores, -torch.inf)
        return only.scatter(1, _third(scores)[:, None], 0.0)

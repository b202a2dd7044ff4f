"""What is remembered: decoding token by token or in chunks is the same as reading the whole row."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from zoo.interfaces import Inputs
from zoo.stack import LayerCache
from zoo.testing.kit import check, fail_unless, fail_unless_close
from zoo.testing.subject import LENGTH, SOURCE, Subject
from zoo.variants.variant import Variant

LONG = 70  # longer than the chunks in which a recurrence is computed


def cached(model: Variant, inputs: Inputs, chunks: list[int]) -> tuple[Tensor, list[LayerCache]]:
    """Hidden states of the same tokens, handed over in chunks; the source comes with the first."""
    source = 0 if inputs.source is None else inputs.source.shape[1]
    caches = model.reader.new_caches(inputs.tokens.shape[1], source)
    parts, start = [], 0
    for length in chunks:
        cut = slice(start, start + length)
        here = replace(inputs, tokens=inputs.tokens[:, cut], start=start)
        if inputs.segment is not None:
            here = replace(here, segment=inputs.segment[:, cut])
        if inputs.position is not None:
            here = replace(here, position=inputs.position[:, cut])
        if start:
            here = replace(here, source=None, source_segment=None, source_position=None)
        parts.append(model.hidden(here, caches))
        start += length
    return torch.cat(parts, dim=1), caches


def has_state(subject: Subject) -> bool:
    """Whether the component is a mixer that remembers a state in place of tokens."""
    if subject.entry.kind != "attention" or not subject.causal:
        return False
    with torch.no_grad():
        _, caches = cached(subject.model, subject.inputs(rows=1), [LENGTH])
    return any(layer.own is not None and bool(layer.own.state) for layer in caches)


def held(caches: list[LayerCache]) -> int:
    """Bytes of all caches."""
    return sum(cache.bytes for layer in caches for cache in (layer.own, layer.cross) if cache is not None)


@check(
    "model",
    "cache.extend and the mask it returns, or cache.state; new_cache",
    after=("later_tokens_do_not_reach_back",),
    when=lambda subject: subject.causal,
)
@torch.no_grad()
def cached_is_full(subject: Subject) -> None:
    """Reading with a cache, token by token or in chunks, gives what the whole row gives."""
    inputs = subject.inputs()
    full = subject.model.hidden(inputs)
    for chunks in ([1] * LENGTH, [4, 1, 5]):
        fail_unless_close(cached(subject.model, inputs, chunks)[0], full, f"the whole row's, in chunks of {chunks}")


@check(
    "model",
    "the chunked form against the step by step form of the recurrence",
    after=("cached_is_full",),
    when=has_state,
)
@torch.no_grad()
def chunked_is_recurrent(subject: Subject) -> None:
    """A mixer with a state computes the same over rows longer than its chunks as token by token."""
    inputs = subject.inputs(LONG, rows=1)
    full = subject.model.hidden(inputs)
    for chunks in ([1] * LONG, [LONG - 5, 5]):
        recurrent, _ = cached(subject.model, inputs, chunks)
        fail_unless_close(recurrent, full, f"the whole row's, over {LONG} tokens in {len(chunks)} steps")


@check(
    "model",
    "segments and positions of what is remembered",
    after=("cached_is_full", "padding_has_no_influence", "packed_documents_are_separate"),
    when=lambda subject: subject.causal,
)
@torch.no_grad()
def cached_is_full_where_rows_are_padded_or_packed(subject: Subject) -> None:
    """The same where the first row is padded on the left and the second holds two documents."""
    segment = torch.tensor([[-1] * 3 + [0] * 7, [0] * 4 + [1] * 6])
    position = torch.tensor([[0] * 3 + [*range(7)], [*range(4), *range(6)]])
    inputs = replace(subject.inputs(), segment=segment, position=position)
    if inputs.source is not None:
        inputs = replace(inputs, source_segment=torch.tensor([[-1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1]]))
    if subject.entry.kind == "attention" and "packed" not in subject.cls.sees:
        inputs = replace(inputs, segment=segment.clamp(max=0), position=torch.stack([position[0], torch.arange(10)]))
    real = segment >= 0
    full = subject.model.hidden(inputs)[real]
    for chunks in ([4] + [1] * 6, [5, 5], [2, 8]):
        part = cached(subject.model, inputs, chunks)[0][real]
        fail_unless_close(part, full, f"the whole row's, in chunks of {chunks}")


@check(
    "model",
    "tensors of the cache have the batch as their first dimension",
    after=("cached_is_full", "rows_do_not_meet"),
    when=lambda subject: subject.causal,
)
@torch.no_grad()
def rows_of_caches_can_be_selected(subject: Subject) -> None:
    """After four tokens the second row goes on twice, as beams do."""
    inputs, rows, model = subject.inputs(), torch.tensor([1, 1]), subject.model
    caches = model.reader.new_caches(LENGTH, SOURCE)
    model.hidden(replace(inputs, tokens=inputs.tokens[:, :4]), caches)
    for cache in caches:
        cache.select(rows)
    rest = model.hidden(Inputs(inputs.tokens[:, 4:], start=4), caches)
    source = None if inputs.source is None else inputs.source[rows]
    both = torch.cat([inputs.tokens[rows, :4], inputs.tokens[:, 4:]], dim=1)
    wanted = model.hidden(Inputs(both, source=source))[:, 4:]
    fail_unless_close(rest, wanted, "what the chosen row gives alone")


@check(
    "model",
    "new_cache, and what forward puts into cache.state on the meta device",
    after=("cached_is_full", "runs_on_the_meta_device"),
    when=lambda subject: subject.causal,
)
@torch.no_grad()
def cache_has_the_reported_size(subject: Subject) -> None:
    """What decoding token by token remembers is as large as ``zoo show`` says."""
    from zoo.cost import cache_bytes

    inputs = subject.inputs(rows=1)
    _, caches = cached(subject.model, inputs, [1] * LENGTH)
    source = 0 if inputs.source is None else SOURCE
    reported = cache_bytes(subject.fresh("meta"), LENGTH, source)
    fail_unless(held(caches) == reported, f"{reported} bytes, as reported", f"{held(caches)} bytes")

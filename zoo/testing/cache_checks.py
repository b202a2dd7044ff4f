"""Checks of caches: decoding token by token or in chunks equals reading the whole row."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from zoo.model.inputs import Inputs
from zoo.model.stack import LayerCache
from zoo.model.variants.variant import Variant
from zoo.testing.kit import check, fail_unless, fail_unless_close
from zoo.testing.mask_checks import number_documents
from zoo.testing.subject import LENGTH, SOURCE, Subject

CHUNKS = ([1, 1, 1, 1, 1, 3, 2], [4, 1, 5], [65, 1, 1, 33, 1, 29])
"""Lengths of chunks that make up a row: token by token and longer, also after more tokens than most windows hold."""
RECURRENT = 70  # tokens, more than a chunk of a recurrence


def run_with_cache(model: Variant, inputs: Inputs, chunks: list[int]) -> tuple[Tensor, list[LayerCache]]:
    """Computes hidden states chunk by chunk with caches, which are returned too; the first chunk has the source."""
    source = 0 if inputs.source is None else inputs.source.shape[1]
    caches = model.reader.create_caches(inputs.tokens.shape[1], source)
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
        parts.append(model.compute_hidden(here, caches))
        start += length
    return torch.cat(parts, dim=1), caches


def has_state(subject: Subject) -> bool:
    """True if the component is an attention whose cache is a state instead of tokens."""
    if subject.entry.kind != "attention" or not subject.is_causal:
        return False
    try:
        with torch.no_grad():
            _, caches = run_with_cache(subject.model, subject.make_inputs(rows=1), [LENGTH])
    except Exception:  # cached_equals_full reports it
        return False
    return any(layer.attention is not None and bool(layer.attention.state) for layer in caches)


def count_cache_bytes(caches: list[LayerCache]) -> int:
    """Sums the bytes of all caches."""
    return sum(cache.bytes for layer in caches for cache in (layer.attention, layer.cross) if cache is not None)


@check(
    "model",
    "cache.extend and the mask it returns, or cache.state; create_cache",
    after=("later_tokens_have_no_influence",),
    when=lambda subject: subject.is_causal,
)
@torch.no_grad()
def check_cached_equals_full(subject: Subject) -> None:
    """Hidden states with a cache, token by token or in chunks, equal those of the whole row."""
    for chunks in CHUNKS:
        if subject.can_read(sum(chunks)):
            inputs = subject.make_inputs(sum(chunks))
            full = subject.model.compute_hidden(inputs)
            fail_unless_close(
                run_with_cache(subject.model, inputs, chunks)[0],
                full,
                f"hidden states of the whole row, in chunks of {chunks}",
            )


@check(
    "model",
    "the chunkwise form against the step-by-step form of the recurrence",
    after=("cached_equals_full",),
    when=has_state,
)
@torch.no_grad()
def check_chunked_equals_recurrent(subject: Subject) -> None:
    """A recurrent mixer computes the same in chunks and token by token, over rows longer than a chunk."""
    inputs = subject.make_inputs(RECURRENT)
    recurrent, _ = run_with_cache(subject.model, inputs, [1] * RECURRENT)
    fail_unless_close(
        recurrent, subject.model.compute_hidden(inputs), f"hidden states of the whole row of {RECURRENT} tokens"
    )


@check(
    "model",
    "segments and positions of cached tokens",
    after=("cached_equals_full", "padding_has_no_influence", "packed_documents_are_separate"),
    when=lambda subject: subject.is_causal,
)
@torch.no_grad()
def check_cached_equals_full_with_padding_and_packing(subject: Subject) -> None:
    """Hidden states with a cache equal those of the whole row for rows with left padding and packed documents."""
    packs = subject.entry.kind != "attention" or "packed" in subject.cls.supports
    for padding, documents, cuts in (
        (3, (4, 6), ([2, 3, 1, 1, 3], [4, 6])),
        (40, (60, 70), CHUNKS[-1:]),
    ):
        length = sum(documents)
        if not subject.can_read(length):
            continue
        (padded, _), (first, _) = number_documents([padding, length - padding])
        (packed, _), (second, _) = number_documents(documents if packs else [length])
        segment, position = torch.stack([padded - 1, packed]), torch.stack([first, second])
        inputs = replace(subject.make_inputs(length), segment=segment, position=position)
        if inputs.source is not None:
            inputs = replace(inputs, source_segment=torch.tensor([[-1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1]]))
        real = segment >= 0
        full = subject.model.compute_hidden(inputs)[real]
        for chunks in cuts:
            part = run_with_cache(subject.model, inputs, chunks)[0][real]
            fail_unless_close(part, full, f"hidden states of the whole row, in chunks of {chunks}")


@check(
    "model",
    "the first dimension of tensors in the cache, which must be the batch",
    after=("cached_equals_full", "rows_are_independent"),
    when=lambda subject: subject.is_causal,
)
@torch.no_grad()
def check_cache_rows_can_be_selected(subject: Subject) -> None:
    """Decoding continues from selected rows of a cache, as beam search does."""
    model, rows, length = subject.model, torch.tensor([1, 1, 0]), subject.max_length
    start = length // 2 + 1
    inputs, rest = subject.make_inputs(length), subject.make_inputs(length, rows=len(rows), seed=3).tokens[:, start:]
    caches = model.reader.create_caches(length, SOURCE)
    model.compute_hidden(replace(inputs, tokens=inputs.tokens[:, :start]), caches)
    for cache in caches:
        cache.select(rows)
    parts = [model.compute_hidden(Inputs(rest[:, :1], start=start), caches)]
    parts.append(model.compute_hidden(Inputs(rest[:, 1:], start=start + 1), caches))
    source = None if inputs.source is None else inputs.source[rows]
    both = torch.cat([inputs.tokens[rows, :start], rest], dim=1)
    wanted = model.compute_hidden(Inputs(both, source=source))[:, start:]
    fail_unless_close(torch.cat(parts, dim=1), wanted, "hidden states of the selected rows read as a whole")


@check(
    "model",
    "create_cache, and what forward puts into cache.state on the meta device",
    after=("cached_equals_full", "runs_on_the_meta_device"),
    when=lambda subject: subject.is_causal,
)
@torch.no_grad()
def check_cache_has_the_reported_size(subject: Subject) -> None:
    """The caches of decoding have the size that ``zoo show`` reports."""
    from zoo.model.cost import measure_cache_bytes

    length = subject.max_length
    inputs = subject.make_inputs(length, rows=1)
    _, caches = run_with_cache(subject.model, inputs, [length - 2, 1, 1])
    source = 0 if inputs.source is None else SOURCE
    reported = measure_cache_bytes(subject.meta, length, source)
    fail_unless(
        count_cache_bytes(caches) == reported, f"{reported} bytes, as reported", f"{count_cache_bytes(caches)} bytes"
    )

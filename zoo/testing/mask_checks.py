"""Checks of masks: later tokens, padding, other documents and other rows have no influence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from zoo.model.inputs import Inputs
from zoo.model.variants.variant import Variant
from zoo.testing.kit import check, fail_unless, fail_unless_close
from zoo.testing.subject import LENGTH, LENGTHS, LONG, SOURCE, Subject, draw_tokens

CHANGES = (1, 4, 9, 16, 20, 32, 33, 48, 63, 64, 65, 96, 127, 128, 129)
"""Indices of the first changed token: at, before and after boundaries of chunks and blocks."""
DOCUMENTS = ((4, 6), (33, 65, 32))
"""Lengths of documents packed into one row."""
PADDING = ((LENGTH, 3, 1), (LENGTH, 0, 3), (33, 70, 27))
"""Tokens of a row, padding before it, and padding after it."""


def run_with_embeddings(model: Variant, inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Computes hidden states, and returns the embeddings of ``inputs.tokens`` as a leaf that requires gradients."""
    vectors: list[Tensor] = []

    def keep(module: torch.nn.Module, given: object, out: Tensor) -> Tensor:
        vectors.append(out.detach().requires_grad_())
        return vectors[-1]

    handle = model.embedding.register_forward_hook(keep)
    try:
        hidden = model.compute_hidden(inputs)
    finally:
        handle.remove()
    return hidden, next(v for v in reversed(vectors) if v.shape[:2] == inputs.tokens.shape)


@check("model", "how forward uses the batch dimension")
@torch.no_grad()
def check_rows_are_independent(subject: Subject) -> None:
    """Hidden states of a row do not depend on the other rows of its batch."""
    inputs = subject.make_inputs(subject.max_length)
    together = subject.model.compute_hidden(inputs)
    for row in range(2):
        source = None if inputs.source is None else inputs.source[row : row + 1]
        alone = subject.model.compute_hidden(Inputs(inputs.tokens[row : row + 1], source=source))
        fail_unless_close(together[row : row + 1], alone, f"row {row} as in a batch of its own")


@check(
    "model",
    "mask.causal: mask.materialize(), or the order of a recurrence",
    after=("rows_are_independent",),
    when=lambda subject: subject.is_causal,
)
@torch.no_grad()
def check_later_tokens_have_no_influence(subject: Subject) -> None:
    """Changed tokens change hidden states from the first of them on, and none before, in rows of any length."""
    for length in filter(subject.can_read, LENGTHS):
        places = [at for at in CHANGES if at < length]
        inputs = subject.make_inputs(length, rows=1)
        rows = inputs.tokens.repeat(1 + len(places), 1)  # unchanged, and changed from each place on
        for row, at in zip(rows[1:], places, strict=True):
            row[at:] = draw_tokens(length - at, 1, seed=5)[0]
        source = None if inputs.source is None else inputs.source.expand(len(rows), -1)
        before, *after = subject.model.compute_hidden(Inputs(rows, source=source))
        for at, hidden in zip(places, after, strict=True):
            fail_unless_close(hidden[:at], before[:at], f"no change before token {at} of {length}", 1e-12)
            moved = not torch.equal(before[at:], hidden[at:])
            fail_unless(moved, f"a change from token {at} of {length} on, which was changed", "none")


@check(
    "model",
    "functions of all tokens (mean, maximum, sort)",
    after=("later_tokens_have_no_influence",),
    when=lambda subject: subject.is_causal,
)
def check_no_gradient_flows_from_later_tokens(subject: Subject) -> None:
    """The gradient of a token's hidden state is zero at later tokens."""
    hidden, vectors = run_with_embeddings(subject.model, subject.make_inputs(subject.max_length))
    for at in (0, subject.max_length // 2 - 2):  # the last token of the first chunk of 64
        (gradient,) = torch.autograd.grad(hidden[:, at].square().sum(), vectors, retain_graph=True)
        fail_unless(not gradient[:, at + 1 :].any(), f"no gradient after token {at}", "some")
        fail_unless(bool(gradient[:, at].any()), f"a gradient at token {at}", "none")


@check(
    "model",
    "mask.prefix",
    after=("later_tokens_have_no_influence",),
    when=lambda subject: (
        subject.place == "decoder"
        and (subject.entry.kind != "attention" or "prefix" in subject.cls.supports)
        and (subject.entry.kind != "ffn" or "prefix" in subject.cls.supports)
    ),
)
@torch.no_grad()
def check_prefix_does_not_depend_on_later_tokens(subject: Subject) -> None:
    """A changed token after the prefix, to which all tokens attend, changes no hidden state before it."""
    for length, short, at in ((LENGTH, 4, 6), (LONG, 40, 70)):
        if not subject.can_read(length):
            continue
        inputs = replace(subject.make_inputs(length), prefix=torch.tensor([short, at]))
        changed = inputs.tokens.clone()
        changed[:, at:] = draw_tokens(length - at, seed=5)
        before, after = (
            subject.model.compute_hidden(inputs),
            subject.model.compute_hidden(replace(inputs, tokens=changed)),
        )
        what = f"no change before token {at} of {length}, behind prefixes of {short} and {at}"
        fail_unless_close(after[:, :at], before[:, :at], what, 1e-12)


def add_padding(row: Tensor, before: int, after: int) -> tuple[Tensor, Tensor]:
    """Surrounds rows ``[rows, length]`` with random tokens, and returns segments that mark these as padding."""
    junk = draw_tokens(before + row.shape[1] + after, seed=9)
    junk[:, before : before + row.shape[1]] = row
    segment = torch.full_like(junk, -1)
    segment[:, before : before + row.shape[1]] = 0
    return junk, segment


@check(
    "model",
    "mask.key.segment: negative is padding, left or right",
    after=("later_tokens_have_no_influence", "rows_are_independent"),
)
def check_padding_has_no_influence(subject: Subject) -> None:
    """Padding changes no hidden state of a row, and receives no gradient."""
    for length, before, after in PADDING:
        if not subject.can_read(before + length + after):
            continue
        inputs = subject.make_inputs(length)
        alone = subject.model.compute_hidden(inputs)
        padded, segment = add_padding(inputs.tokens, before, after)
        given = Inputs(padded, segment)
        if inputs.source is not None:
            source, source_segment = add_padding(inputs.source, after, before)
            given = replace(given, source=source, source_segment=source_segment)
        hidden, vectors = run_with_embeddings(subject.model, given)
        what = f"equal hidden states with {before} tokens of padding before and {after} after"
        own = hidden[:, before : before + length]
        fail_unless_close(own, alone, what)
        (gradient,) = torch.autograd.grad(own.square().sum(), vectors)
        fail_unless(not gradient[segment < 0].any(), "no gradient at padding", "some")


@check("model", "divisions and softmax over a row without real tokens")
def check_padding_rows_stay_finite(subject: Subject) -> None:
    """A row of padding beside another row gives finite numbers, forward and backward."""
    model = subject.copy()
    segment = torch.tensor([[0], [-1]]).repeat(1, subject.max_length)
    inputs = replace(subject.make_inputs(subject.max_length), segment=segment)
    if inputs.source is not None:
        inputs = replace(inputs, source_segment=segment[:, :SOURCE])
    hidden = model.compute_hidden(inputs)
    hidden.square().sum().backward()  # type: ignore[no-untyped-call]
    fail_unless(bool(hidden.isfinite().all()), "finite hidden states", "inf or nan")
    broken = [name for name, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    fail_unless(not broken, "finite gradients", f"inf or nan in {', '.join(broken)}")


@check(
    "model",
    "mask.key.segment: tokens of different segments must not attend to each other; a state must be reset",
    after=("later_tokens_have_no_influence",),
    when=lambda subject: subject.entry.kind not in ("attention", "ffn") or "packed" in subject.cls.supports,
)
@torch.no_grad()
def check_packed_documents_are_separate(subject: Subject) -> None:
    """Packed documents, each with its part of the source, have the hidden states of separate rows."""
    for lengths in DOCUMENTS:
        if not subject.can_read(sum(lengths)):
            continue
        documents = [subject.make_inputs(length, seed=seed) for seed, length in enumerate(lengths)]
        segment, position = number_documents(lengths)
        packed = Inputs(torch.cat([document.tokens for document in documents], dim=1), segment, position)
        sources = [document.source for document in documents if document.source is not None]
        if sources:
            segment, position = number_documents([SOURCE] * len(sources))
            source = torch.cat(sources, dim=1)
            packed = replace(packed, source=source, source_segment=segment, source_position=position)
        apart = torch.cat([subject.model.compute_hidden(document) for document in documents], dim=1)
        what = f"packed documents of {', '.join(map(str, lengths))} tokens as in separate rows"
        fail_unless_close(subject.model.compute_hidden(packed), apart, what)


def number_documents(lengths: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Returns segment and position of each token of two equal rows of documents: ``[2, length]``."""
    segment = torch.tensor([document for document, length in enumerate(lengths) for _ in range(length)])
    position = torch.tensor([place for length in lengths for place in range(length)])
    return segment.repeat(2, 1), position.repeat(2, 1)

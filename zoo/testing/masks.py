"""Who may see whom: later tokens, padding, other documents, other rows."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from zoo.interfaces import Inputs
from zoo.testing.kit import check, fail_unless, fail_unless_close
from zoo.testing.subject import LENGTH, SOURCE, Subject, tokens
from zoo.variants.variant import Variant


def embedded(model: Variant, inputs: Inputs) -> tuple[Tensor, Tensor]:
    """Hidden states, and the vectors that the embedding gave to the tokens that are read."""
    vectors: list[Tensor] = []

    def keep(module: torch.nn.Module, given: object, out: Tensor) -> Tensor:
        vectors.append(out.detach().requires_grad_())
        return vectors[-1]

    handle = model.embedding.register_forward_hook(keep)
    try:
        hidden = model.hidden(inputs)
    finally:
        handle.remove()
    return hidden, next(v for v in reversed(vectors) if v.shape[:2] == inputs.tokens.shape)


@check("model", "how forward uses the batch dimension")
@torch.no_grad()
def rows_do_not_meet(subject: Subject) -> None:
    """What becomes of a row does not depend on the other rows of its batch."""
    inputs = subject.inputs(rows=3)
    together = subject.model.hidden(inputs)
    for row in range(3):
        source = None if inputs.source is None else inputs.source[row : row + 1]
        alone = subject.model.hidden(Inputs(inputs.tokens[row : row + 1], source=source))
        fail_unless_close(together[row : row + 1], alone, f"row {row} as it is alone")


@check("model", "mask.causal: mask.visible(), or the order of a recurrence", when=lambda subject: subject.causal)
@torch.no_grad()
def later_tokens_do_not_reach_back(subject: Subject) -> None:
    """A token that changes moves nothing before it, and something from it on."""
    inputs = subject.inputs()
    before = subject.model.hidden(inputs)
    for at in (1, 4, LENGTH - 1):
        changed = inputs.tokens.clone()
        changed[:, at:] = tokens(LENGTH - at, seed=5)
        after = subject.model.hidden(replace(inputs, tokens=changed))
        fail_unless_close(after[:, :at], before[:, :at], f"no change before token {at}", 1e-12)
        moved = not torch.equal(before[:, at:], after[:, at:])
        fail_unless(moved, f"a change from token {at} on, which was changed", "none")


@check(
    "model",
    "what is computed of all tokens at once (a mean, a maximum, a sort)",
    after=("later_tokens_do_not_reach_back",),
    when=lambda subject: subject.causal,
)
def no_gradient_flows_from_later_tokens(subject: Subject) -> None:
    """The gradient of a token's hidden state is zero at later tokens."""
    hidden, vectors = embedded(subject.model, subject.inputs())
    for at in (0, 4):
        (gradient,) = torch.autograd.grad(hidden[:, at].square().sum(), vectors, retain_graph=True)
        fail_unless(not gradient[:, at + 1 :].any(), f"no gradient after token {at}", "some")
        fail_unless(bool(gradient[:, at].any()), f"a gradient at token {at}", "none")


@check(
    "model",
    "mask.prefix",
    after=("later_tokens_do_not_reach_back",),
    when=lambda subject: (
        subject.place == "decoder"
        and (subject.entry.kind != "attention" or "prefix" in subject.cls.sees)
        and (subject.entry.kind != "ffn" or "prefix" in subject.cls.sees)
    ),
)
@torch.no_grad()
def nothing_after_a_prefix_reaches_into_it(subject: Subject) -> None:
    """Behind a prefix that all tokens see, a token that changes moves nothing before it."""
    inputs = replace(subject.inputs(), prefix=torch.tensor([4, 6]))
    changed = inputs.tokens.clone()
    changed[:, 6:] = tokens(LENGTH - 6, seed=5)
    before, after = subject.model.hidden(inputs), subject.model.hidden(replace(inputs, tokens=changed))
    fail_unless_close(after[:, :6], before[:, :6], "no change before token 6, behind prefixes of 4 and 6", 1e-12)


def placed(row: Tensor, before: int, after: int) -> tuple[Tensor, Tensor]:
    """A row with other tokens around it, and segments that call them padding."""
    junk = tokens(before + row.shape[1] + after, seed=9)
    junk[:, before : before + row.shape[1]] = row
    segment = torch.full_like(junk, -1)
    segment[:, before : before + row.shape[1]] = 0
    return junk, segment


@check(
    "model",
    "mask.key.segment: negative is padding, left or right",
    after=("later_tokens_do_not_reach_back", "rows_do_not_meet"),
)
def padding_has_no_influence(subject: Subject) -> None:
    """A row between padding is what it is alone, and no gradient reaches the padding."""
    inputs = subject.inputs()
    alone = subject.model.hidden(inputs)
    for before, after in ((3, 1), (0, 3)):
        padded, segment = placed(inputs.tokens, before, after)
        given = Inputs(padded, segment)
        if inputs.source is not None:
            source, source_segment = placed(inputs.source, after, before)
            given = replace(given, source=source, source_segment=source_segment)
        hidden, vectors = embedded(subject.model, given)
        what = f"the same with {before} tokens of padding before and {after} after"
        own = hidden[:, before : before + LENGTH]
        fail_unless_close(own, alone, what)
        (gradient,) = torch.autograd.grad(own.square().sum(), vectors)
        fail_unless(not gradient[segment < 0].any(), "no gradient at padding", "some")


@check("model", "divisions and softmax over a row without real tokens")
def a_row_of_padding_stays_finite(subject: Subject) -> None:
    """A row of padding beside a real one gives finite numbers, forward and backward."""
    model = subject.fresh()
    segment = torch.tensor([[0], [-1]]).repeat(1, LENGTH)
    inputs = replace(subject.inputs(), segment=segment)
    if inputs.source is not None:
        inputs = replace(inputs, source_segment=segment[:, :SOURCE])
    hidden = model.hidden(inputs)
    hidden.square().sum().backward()  # type: ignore[no-untyped-call]
    fail_unless(bool(hidden.isfinite().all()), "finite hidden states", "inf or nan")
    broken = [name for name, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    fail_unless(not broken, "finite gradients", f"inf or nan in {', '.join(broken)}")


@check(
    "model",
    "mask.key.segment: different segments do not meet; a state must be forgotten where a document begins",
    after=("later_tokens_do_not_reach_back",),
    when=lambda subject: subject.entry.kind not in ("attention", "ffn") or "packed" in subject.cls.sees,
)
@torch.no_grad()
def packed_documents_are_separate(subject: Subject) -> None:
    """Two documents in one row, each with its part of the source, are what they are in rows of their own."""
    first, second = subject.inputs(4), subject.inputs(6, seed=3)
    packed = Inputs(
        torch.cat([first.tokens, second.tokens], dim=1),
        torch.tensor([[0] * 4 + [1] * 6]).repeat(2, 1),
        torch.tensor([[*range(4), *range(6)]]),
    )
    if first.source is not None and second.source is not None:
        packed = replace(
            packed,
            source=torch.cat([first.source, second.source], dim=1),
            source_segment=torch.tensor([[0] * SOURCE + [1] * SOURCE]).repeat(2, 1),
            source_position=torch.tensor([[*range(SOURCE), *range(SOURCE)]]),
        )
    apart = torch.cat([subject.model.hidden(first), subject.model.hidden(second)], dim=1)
    fail_unless_close(subject.model.hidden(packed), apart, "documents of a row as they are apart")

"""Checks of objectives: inputs, targets and loss terms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from zoo.data.batch import Batch, DocumentBatch, PairBatch
from zoo.data.interfaces import Vocabulary
from zoo.data.special_tokens import NO_TOKEN
from zoo.model.build import build
from zoo.model.inputs import Inputs
from zoo.model.objective import Objective, View
from zoo.model.variants.variant import Variant
from zoo.testing.kit import check, fail_unless
from zoo.testing.subject import SMALL, TOKENS, Subject, build_component, perturb

VOCABULARY = Vocabulary(TOKENS, pad=0, bos=1, eos=2, mask=3, sep=4, unk=5, sentinels=tuple(range(6, 14)))
DOCUMENTS = ((9, 4, 8), (21,), (2, 3, 3), (12, 7))
PAIRS = ((5, 4), (1, 1), (8, 6), (3, 7))


def make_batch(subject: Subject) -> Batch:
    """Makes a batch of four rows in the form of the subject; token ids of texts start at 14."""
    generator = torch.Generator().manual_seed(0)
    if subject.place.endswith("documents"):
        return make_documents(generator)
    return make_pairs([(source, 1 if subject.cls.one_token_targets else target) for source, target in PAIRS], generator)


def make_documents(generator: torch.Generator, lengths: Sequence[Sequence[int]] = DOCUMENTS) -> DocumentBatch:
    """Makes rows of documents of these lengths, each ending with eos."""
    longest = max(sum(row) for row in lengths)
    tokens = torch.zeros(len(lengths), longest, dtype=torch.long)
    segment, position = torch.full_like(tokens, -1), torch.zeros_like(tokens)
    for number, row in enumerate(lengths):
        begin = 0
        for document, length in enumerate(row):
            cut = slice(begin, begin + length)
            tokens[number, cut] = torch.randint(14, TOKENS, (length,), generator=generator)
            tokens[number, begin + length - 1] = VOCABULARY.eos
            segment[number, cut], position[number, cut] = document, torch.arange(length)
            begin += length
    return DocumentBatch(tokens, segment, position)


def make_pairs(lengths: list[tuple[int, int]], generator: torch.Generator) -> PairBatch:
    """Makes pairs of sources and targets of these lengths; targets end with an additional eos."""
    sources, targets = (
        torch.zeros(len(lengths), max(pair[side] for pair in lengths) + side, dtype=torch.long) for side in (0, 1)
    )
    for number, (source, target) in enumerate(lengths):
        sources[number, :source] = torch.randint(14, TOKENS, (source,), generator=generator)
        targets[number, :target] = torch.randint(14, TOKENS, (target,), generator=generator)
        targets[number, target] = VOCABULARY.eos
    source_length, target_length = (torch.tensor([pair[side] + side for pair in lengths]) for side in (0, 1))
    return PairBatch(sources, targets, source_length, target_length)


def build_objective(subject: Subject) -> Objective:
    """Builds the objective with seed 0 and a vocabulary that has only the special tokens that it requires."""
    variant, _, form = subject.place.split()
    asked: Objective = build_component(subject, SMALL["dim"], VOCABULARY, variant)
    required = asked.get_required_tokens(form, max(sum(row) for row in DOCUMENTS))
    vocabulary = replace(
        VOCABULARY,
        mask=VOCABULARY.mask if required.mask else NO_TOKEN,
        sep=VOCABULARY.sep if required.sep else NO_TOKEN,
        sentinels=VOCABULARY.sentinels[: required.sentinels],
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made: Objective = build_component(subject, SMALL["dim"], vocabulary, variant)
    return made


def build_model(subject: Subject) -> Variant:
    """Builds a small model of the subject's variant."""
    config = {"variant": subject.place.split()[0], **SMALL, "embedding": {"token_types": 2}}
    made = build(config, TOKENS, seed=0)
    perturb(made)
    return made


def make_view(subject: Subject, seed: int = 0) -> View:
    """Prepares the batch of the subject."""
    return prepare(build_objective(subject), make_batch(subject), seed)


def prepare(asked: Objective, rows: Batch, seed: int = 0, part: Sequence[int] | None = None) -> View:
    """Prepares rows of a batch; row i draws from a generator that depends on ``seed`` and i only.

    Args:
        asked: objective.
        rows: batch; if the objective needs partners and it has none, each row gets the next one.
        seed: seed of the generators.
        part: indices of the rows; None: all.
    """
    chosen = range(rows.rows) if part is None else part
    if asked.needs_partner and isinstance(rows, DocumentBatch) and rows.partner is None:
        rows = replace(rows, partner=rows.select([*range(1, rows.rows), 0]))
    return asked.prepare(rows.select(chosen), [torch.Generator().manual_seed(1000 * seed + row) for row in chosen])


def list_tensors(seen: View) -> Iterator[tuple[str, Any]]:
    """Lists the tensors of a view by name."""
    yield from ((item.name, getattr(seen.inputs, item.name)) for item in fields(Inputs))
    yield from (("targets", seen.targets), ("valid", seen.valid), *seen.extra.items())


@check("objective", "prepare: shapes of inputs, targets and valid")
def check_view_is_well_formed(subject: Subject) -> None:
    """Targets and valid places have the shape of the tokens, and valid places are no padding."""
    seen = make_view(subject)
    shape = seen.inputs.tokens.shape
    for name, tensor in (("targets", seen.targets), ("valid", seen.valid)):
        fail_unless(tensor.shape == shape, f"{name} of shape {list(shape)}", str(list(tensor.shape)))
    fail_unless(seen.valid.dtype == torch.bool, "valid of bool", str(seen.valid.dtype))
    fail_unless(bool(seen.valid.any()), "at least one valid place", "none")
    asked = seen.targets[seen.valid]
    fail_unless(bool((asked != VOCABULARY.pad).all()), "no padding among targets of valid places", "padding")
    fail_unless(bool(((asked >= 0) & (asked < TOKENS)).all()), f"targets below {TOKENS}", f"up to {int(asked.max())}")
    read = [tensor for tensor in (seen.inputs.tokens, seen.inputs.source) if tensor is not None]
    lacking = any(bool((tensor < 0).any()) for tensor in read)
    fail_unless(not lacking, "special tokens that get_required_tokens names", "one that it does not name")
    if seen.inputs.segment is not None:
        fail_unless(bool((seen.inputs.segment[seen.valid] >= 0).all()), "no valid place in padding", "one")


@check("objective", "prepare: random numbers that do not come from the given generators")
def check_view_depends_only_on_the_generator(subject: Subject) -> None:
    """Equal generators give equal views, whatever the state of torch's global generator."""
    torch.manual_seed(1)
    one = make_view(subject)
    torch.manual_seed(2)
    for (name, a), (_, b) in zip(list_tensors(one), list_tensors(make_view(subject)), strict=True):
        same = torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a is b or a == b
        fail_unless(same, f"the same {name}", "another")


PARTS = ((0,), (1, 2, 3))  # of the four rows


@check("objective", "prepare: random numbers of a row that depend on other rows", after=("view_is_well_formed",))
def check_rows_do_not_depend_on_the_batch(subject: Subject) -> None:
    """Inputs and targets of a row do not depend on its batch, so that the batch size changes nothing."""
    asked, rows = build_objective(subject), make_batch(subject)
    whole = _list_row_contents(prepare(asked, rows))
    apart = [row for part in PARTS for row in _list_row_contents(prepare(asked, rows, part=part))]
    for number, (one, other) in enumerate(zip(whole, apart, strict=True)):
        fail_unless(one == other, f"row {number} as in a batch of four", "another in a smaller one")


def _list_row_contents(seen: View) -> list[tuple[list[int], ...]]:
    """Lists tokens, source, valid places and targets of each row, without padding."""
    inputs, found = seen.inputs, []
    for row, valid in enumerate(seen.valid):
        read = [
            (tokens[row] if segment is None else tokens[row][segment[row] >= 0]).tolist()
            for tokens, segment in ((inputs.tokens, inputs.segment), (inputs.source, inputs.source_segment))
            if tokens is not None
        ]
        found.append((*read, valid.nonzero()[:, 0].tolist(), seen.targets[row][valid].tolist()))
    return found


@check("objective", "get_max_length: the length of the rows that prepare returns")
def check_rows_respect_the_maximum_length(subject: Subject) -> None:
    """Rows of documents are not longer than ``get_max_length`` returns."""
    if not subject.place.endswith("documents"):
        return
    limit = build_objective(subject).get_max_length(make_batch(subject).tokens.shape[1] - 1)  # type: ignore[union-attr]
    for seed in range(5):
        seen = make_view(subject, seed).inputs
        found = max(seen.tokens.shape[1], 0 if seen.source is None else seen.source.shape[1])
        fail_unless(found <= limit, f"at most {limit} tokens", str(found))


@check("objective", "loss", after=("view_is_well_formed",))
def check_loss_is_trainable(subject: Subject) -> None:
    """Every loss term is finite, and the parameters of the model and the objective get gradients."""
    asked, read = build_objective(subject), build_model(subject)
    perturb(asked)
    terms = asked.loss(read, make_view(subject))
    wrong = [name for name, term in terms.items() if term.ndim or not bool(term.isfinite())]
    fail_unless(not wrong, "terms that are finite numbers", f"others in {', '.join(wrong)}")
    torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
    body = [name for name, p in read.get_stacks()[read.name].named_parameters()] if len(read.get_stacks()) == 1 else []
    reached = dict(read.reader.named_parameters())
    idle = [name for name in body if reached[name].grad is None or not reached[name].grad.any()]  # type: ignore[union-attr]
    idle += [name for name, p in asked.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    fail_unless(not idle, "a gradient for every parameter", f"none for {', '.join(idle)}")


@check("objective", "loss terms, which must be means over what count_terms counts", after=("loss_is_trainable",))
def check_loss_terms_add_up_over_batches(subject: Subject) -> None:
    """Loss terms of parts of a batch, weighted by ``count_terms``, add up to those of the whole batch."""
    asked, read, rows = build_objective(subject).double(), build_model(subject).double(), make_batch(subject)
    views = [prepare(asked, rows, part=part) for part in PARTS]
    whole, total = prepare(asked, rows), asked.count_terms(prepare(asked, rows))
    sums: dict[str, float] = {}
    for part in views:
        counts = asked.count_terms(part)
        for name, term in asked.loss(read, part).items():
            fail_unless(name in counts, f"a count of {name}", "none")
            sums[name] = sums.get(name, 0.0) + float(term.detach()) * counts[name]
    for name, term in asked.loss(read, whole).items():
        mean, single = sums[name] / max(1, total[name]), float(term.detach())
        fail_unless(abs(mean - single) <= 1e-5 * max(1.0, abs(single)), f"{name} of {single:.6g}", f"{mean:.6g}")


@check("objective", "predict", after=("view_is_well_formed",))
@torch.no_grad()
def check_predictions_match_targets(subject: Subject) -> None:
    """``predict`` returns one target for each row of logits, below the number of classes."""
    logits, targets = build_objective(subject).eval().predict(build_model(subject).eval(), make_view(subject))
    fail_unless(logits.ndim == 2, "logits [asked, classes]", str(list(logits.shape)))
    fail_unless(
        len(logits) == len(targets) > 0, "as many targets as rows of logits", f"{len(targets)} for {len(logits)}"
    )
    fail_unless(int(targets.max()) < logits.shape[1], f"targets below {logits.shape[1]}", str(int(targets.max())))

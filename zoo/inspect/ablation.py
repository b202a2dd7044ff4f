"""View of ablations: what a model loses, and what it writes, while one of its parts is switched off."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch

from zoo.checks import require
from zoo.generation import generate
from zoo.generation.prompting import Prompting
from zoo.inspect.ablation_targets import Target, find_targets, list_targets
from zoo.inspect.switch_off import switch_off
from zoo.inspect.text_loss import TextBatch, build_text_batch, compute_text_loss
from zoo.model.variants.encoder import Encoder
from zoo.model.variants.variant import Variant


@dataclass(frozen=True)
class Ablation:
    """Effect of switching off one part.

    Args:
        target: the part.
        loss: mean loss of the predicted tokens, in nats; None if it overflows.
        change: this loss minus that of the whole model; None if it overflows.
        text: what the model writes after the text, greedily; None if that was not asked for.
    """

    target: Target
    loss: float | None
    change: float | None
    text: str | None = None


@dataclass(frozen=True)
class AblationView:
    """Effects of switching off parts of a model, one at a time.

    Args:
        objective: what the loss is of: ``next_token``, ``masked_token``, ``every_token`` or ``answer``.
        tokens: number of predicted tokens.
        loss: mean loss of the whole model, in nats.
        text: what the whole model writes after the text, greedily; None if it writes none.
        ablations: the parts, by the change of the loss, the largest first.
    """

    objective: str
    tokens: int
    loss: float | None
    text: str | None
    ablations: tuple[Ablation, ...]


def measure_ablations(
    model: Variant,
    prompting: Prompting,
    text: str,
    names: Sequence[str] | None = None,
    *,
    answer: str | None = None,
    tokens: int = 24,
    texts: int = 12,
) -> AblationView:
    """Switches off parts of a model, one at a time, and ranks them by how much the loss on a text rises.

    Args:
        model: any variant with a head, in evaluation mode; it is as before afterwards.
        prompting: encodes texts and decodes tokens.
        text: the text, or the source of an encoder-decoder.
        names: names of parts or of groups of them, as in
            :func:`zoo.inspect.ablation_targets.find_targets`; None for every sublayer and every head.
        answer: what an encoder-decoder is to answer; None for what the whole model writes.
        tokens: number of tokens to write; 0 for none. An encoder writes none.
        texts: number of parts, from the largest change on, for which a text is written.
    Raises:
        Refused: if a name is not that of a part, or the model has no head.
    """
    require(tokens >= 0, f"tokens must not be negative: got tokens={tokens}")
    if names is None:
        targets = [target for target in list_targets(model) if target.kind in ("head", "sublayer")]
    else:
        targets = find_targets(model, names)
    batch = build_text_batch(model, prompting, [text], None if answer is None else [answer])
    whole = _compute_loss(model, batch)
    found = sorted((_measure(model, batch, target, whole) for target in targets), key=_rank)
    count = 0 if isinstance(model, Encoder) else tokens
    for place, one in enumerate(found[:texts]):
        found[place] = replace(one, text=_write(model, prompting, text, count, one.target.name))
    return AblationView(
        batch.objective,
        int((batch.targets >= 0).sum()),
        whole,
        _write(model, prompting, text, count),
        tuple(found),
    )


def _rank(ablation: Ablation) -> float:
    """Returns a key that sorts the largest change first, and an overflow before it."""
    return -float("inf") if ablation.change is None else -ablation.change


def _measure(model: Variant, batch: TextBatch, target: Target, whole: float | None) -> Ablation:
    with switch_off(model, target.name):
        loss = _compute_loss(model, batch)
    return Ablation(target, loss, None if loss is None or whole is None else loss - whole)


@torch.no_grad()
def _compute_loss(model: Variant, batch: TextBatch) -> float | None:
    loss = compute_text_loss(model, batch)
    return float(loss) if bool(loss.isfinite()) else None


def _write(model: Variant, prompting: Prompting, text: str, tokens: int, name: str | None = None) -> str | None:
    """Writes up to ``tokens`` tokens, or fewer where positions end; None if there is no room for one."""
    limit = model.reader.limit
    if limit is not None:
        prompt = prompting.build_inputs(model, [prompting.encode(text, model.vocabulary)])
        tokens = min(tokens, limit - prompt.tokens.shape[1] + 1)  # the last token is not read
    if tokens < 1:
        return None
    with nullcontext() if name is None else switch_off(model, name):
        return generate(model, prompting, [text], tokens=tokens)[0]

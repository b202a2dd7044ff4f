"""Proof that two models do the same work: parameters, operations, shapes, and logits where they can be equal."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from experiments.speed.peer_weights import export_weights
from experiments.speed.peers import Peer
from experiments.speed.shapes import Shape
from zoo.model.variants.variant import Variant

MOST_DIFFERENT = 0.01  # of the parameters, where a peer states a difference
TOLERANCE = 1e-4  # of a logit, by the largest one
Logits = Callable[[Tensor], Tensor]


class UnequalWork(Exception):
    """Raised if a peer does other work than zoo, with what differs and both values."""


def build_equal_peer(peer: Peer, shape: Shape, model: Variant) -> nn.Module:
    """Builds the model of a peer, with the weights of ``model`` where it can have them, and checks that work is equal.

    Raises:
        UnequalWork: if it is not.
    """
    built = peer.build(shape)
    if peer.load is not None:
        weights = peer.load(export_weights(model, peer.family))
        given = {name: tensor for name, tensor in built.state_dict().items() if name not in weights}
        if given:
            raise UnequalWork(f"{peer.name}: zoo has no weights for {', '.join(given)}")
        built.load_state_dict(weights)
    require_equal_work(
        model, built, shape, peer.name, has_difference=bool(peer.differences), exact=peer.load is not None
    )
    return built


def require_equal_work(
    ours: nn.Module,
    theirs: nn.Module,
    shape: Shape,
    name: str,
    *,
    has_difference: bool = False,
    exact: bool = True,
    counted: bool = True,
) -> None:
    """Raises :class:`UnequalWork` unless two models do the same work.

    Args:
        ours: model of zoo; called with tokens ``[batch, length]`` it returns logits, as ``theirs``.
        theirs: model of a peer.
        shape: shape of both.
        name: of the peer.
        has_difference: whether a difference of up to a hundredth of the parameters is stated.
        counted: whether the counter knows the operations of both.
        exact: whether both have the same weights, so that their logits must be equal.
    """
    counts = [count_parameters(model) for model in (ours, theirs)]
    allowed = MOST_DIFFERENT * counts[0] if has_difference else 0
    if abs(counts[0] - counts[1]) > allowed:
        raise UnequalWork(f"{name}: parameters must be equal: got {counts[1]:,}, zoo has {counts[0]:,}")
    tokens = torch.randint(shape.vocabulary, (2, shape.length), generator=torch.Generator().manual_seed(1))
    logits, operations = zip(*(_read(model, tokens) for model in (ours, theirs)), strict=True)
    if logits[0].shape != logits[1].shape:
        raise UnequalWork(f"{name}: logits must have equal shapes: got {[*logits[1].shape]}, zoo {[*logits[0].shape]}")
    if counted and operations[0] != operations[1]:
        raise UnequalWork(
            f"{name}: matrix products must be equal: got {operations[1]:,} operations, zoo {operations[0]:,}"
        )
    if exact and (difference := measure_difference(*logits)) > TOLERANCE:
        raise UnequalWork(
            f"{name}: logits of equal weights must be equal: they differ by {difference:.1e} of the largest"
        )


def count_parameters(model: nn.Module) -> int:
    """Counts the parameters of a model, shared ones once."""
    return sum(weight.numel() for weight in model.parameters())


def measure_difference(ours: Tensor, theirs: Tensor) -> float:
    """Returns the largest difference between two tensors, by the largest absolute value of the first."""
    return float((ours - theirs).abs().max() / ours.abs().max())


@torch.no_grad()
def _read(model: nn.Module, tokens: Tensor) -> tuple[Tensor, int]:
    """Computes logits as in training, and counts the operations of matrix products.

    Attention kernels of the CPU are not counted, nor is the fused layer that ``torch.nn`` has for evaluation.
    """
    with FlopCounterMode(display=False) as counter:
        logits = model.train()(tokens)
    return logits.float(), int(counter.get_total_flops())

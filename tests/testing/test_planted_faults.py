"""Broken components, each with one fault: the check that is meant for it fails, and none that is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, final

import pytest
import torch
from torch import Tensor, nn

from zoo.model.attend import Scores, attend
from zoo.model.cache import Cache
from zoo.model.initialization import Initialization
from zoo.model.interfaces import Attention, Norm, Position, count_linear_flops
from zoo.model.mask import Mask, Tokens
from zoo.model.projections import OutputLinear
from zoo.testing import FAILURES, check_component, list_subjects, register_temporarily
from zoo.testing.kit import list_checks, run_check


class Sound(Attention):
    """Softmax attention whose keys are its values, without a fault.

    Args:
        dim: features per token.
        heads: heads.
        head_dim: features per head.
        norm: not used.
        strength: what scores are multiplied with.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"causal", "prefix", "packed"})
    position_hooks: ClassVar[frozenset[str]] = frozenset({"rotate", "bias"})

    def __init__(
        self, dim: int, heads: int, head_dim: int, norm: Callable[[int], Norm], *, strength: float = 1.0
    ) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.scores = Scores(scale=self.strength(strength) / head_dim**0.5)
        self.query = nn.Linear(dim, heads * head_dim, bias=False)
        self.value = nn.Linear(dim, heads * head_dim, bias=False)
        self.output = OutputLinear(heads * head_dim, dim, bias=False)

    def strength(self, given: float) -> float:
        return given

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        x, mask = self.before(x, mask)
        q, v = (part(x).unflatten(-1, (self.heads, self.head_dim)).transpose(1, 2) for part in (self.query, self.value))
        q, k = self.rotate(q, v, mask, position)
        own = v
        if cache is not None:
            (k, v), mask = self.remember(cache, k, v, mask)
        mixed = attend(q, k, v, mask, position, self.scores, training=self.training)
        out: Tensor = self.output(self.after(mixed, own, mask).transpose(1, 2).flatten(2))
        return out

    def before(self, x: Tensor, mask: Mask) -> tuple[Tensor, Mask]:
        return x, mask

    def rotate(self, q: Tensor, k: Tensor, mask: Mask, position: Position) -> tuple[Tensor, Tensor]:
        return position.rotate_queries(q, mask.query.position), position.rotate_keys(k, mask.key.position)

    def remember(self, cache: Cache, k: Tensor, v: Tensor, mask: Mask) -> tuple[tuple[Tensor, Tensor], Mask]:
        (k, v), mask = cache.extend((k, v), mask)
        return (k, v), mask

    def after(self, mixed: Tensor, own: Tensor, mask: Mask) -> Tensor:
        return mixed

    def flops(self, mask: Mask) -> int:
        """Projections, scores and averages."""
        products = 4 * self.heads * self.head_dim * mask.count_pairs()
        return (count_linear_flops(self.query) + count_linear_flops(self.value) + count_linear_flops(self.output)) * (
            mask.query.length
        ) + products


@final
class Faultless(Sound):
    __doc__ = Sound.__doc__


@final
class LeaksOneFutureToken(Sound):
    __doc__ = Sound.__doc__

    def after(self, mixed: Tensor, own: Tensor, mask: Mask) -> Tensor:
        following = nn.functional.pad(own[..., 1:, :], (0, 0, 0, 1))
        if (segment := mask.query.segment) is not None:
            same = nn.functional.pad((segment[:, 1:] == segment[:, :-1]) & (segment[:, 1:] >= 0), (0, 1))
            following = following * same[:, None, :, None]
        return mixed + 0.1 * following


@final
class IgnoresPadding(Sound):
    __doc__ = Sound.__doc__

    def before(self, x: Tensor, mask: Mask) -> tuple[Tensor, Mask]:
        def padded(tokens: Tokens) -> Tokens:
            return tokens if tokens.segment is None else replace(tokens, segment=tokens.segment.clamp(min=0))

        return x, replace(mask, query=padded(mask.query), key=padded(mask.key))


@final
class IgnoresDocuments(Sound):
    __doc__ = Sound.__doc__

    def before(self, x: Tensor, mask: Mask) -> tuple[Tensor, Mask]:
        def joined(tokens: Tokens) -> Tokens:
            return tokens if tokens.segment is None else replace(tokens, segment=tokens.segment.clamp(max=0))

        return x, replace(mask, query=joined(mask.query), key=joined(mask.key))


@final
class RemembersAllButTheFirst(Sound):
    __doc__ = Sound.__doc__

    def remember(self, cache: Cache, k: Tensor, v: Tensor, mask: Mask) -> tuple[tuple[Tensor, Tensor], Mask]:
        (k, v), mask = cache.extend((k, v), mask)
        key = mask.key
        if key.length > 1:
            segment = None if key.segment is None else key.segment[:, 1:]
            mask = replace(mask, key=Tokens(key.index[1:], key.position[:, 1:], segment))
            k, v = k[..., 1:, :], v[..., 1:, :]
        return (k, v), mask


@final
class ForgetsRotate(Sound):
    __doc__ = Sound.__doc__

    def rotate(self, q: Tensor, k: Tensor, mask: Mask, position: Position) -> tuple[Tensor, Tensor]:
        return q, k


@final
class WrongFlops(Sound):
    __doc__ = Sound.__doc__

    def flops(self, mask: Mask) -> int:
        return super().flops(mask) * 9 // 10


@final
class CountsHiddenPairs(Sound):
    __doc__ = Sound.__doc__

    def flops(self, mask: Mask) -> int:
        return super().flops(replace(mask, causal=False))


@final
class DeadParameter(Sound):
    __doc__ = Sound.__doc__

    def strength(self, given: float) -> float:
        self.dead = nn.Parameter(torch.zeros(3))
        return given


@final
class DependsOnTheBatch(Sound):
    __doc__ = Sound.__doc__

    def before(self, x: Tensor, mask: Mask) -> tuple[Tensor, Mask]:
        return x - 0.1 * x.mean(dim=0, keepdim=True), mask


@final
class Forgetful(Sound):
    __doc__ = Sound.__doc__

    def after(self, mixed: Tensor, own: Tensor, mask: Mask) -> Tensor:
        return mixed + mixed.detach().square()


@final
class Restless(Sound):
    __doc__ = Sound.__doc__

    def after(self, mixed: Tensor, own: Tensor, mask: Mask) -> Tensor:
        return mixed + 1e-14 * torch.rand(1, dtype=mixed.dtype, device=mixed.device)


@final
class OptionDoesNothing(Sound):
    __doc__ = Sound.__doc__

    def strength(self, given: float) -> float:
        return 1.0


@final
class KeepsNoType(Sound):
    __doc__ = Sound.__doc__

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        out = super().forward(x, memory, mask, position, cache)
        return out.float() if out.dtype == torch.bfloat16 else out


@final
class ReadsValues(Sound):
    __doc__ = Sound.__doc__

    def after(self, mixed: Tensor, own: Tensor, mask: Mask) -> Tensor:
        return mixed * (1.0 if float(own.detach().sum()) < 1e9 else 2.0)


@final
class SaysNothing(Sound):
    """A docstring that leaves its arguments out."""

    def __init__(
        self, dim: int, heads: int, head_dim: int, norm: Callable[[int], Norm], *, strength: float = 1.0
    ) -> None:
        super().__init__(dim, heads, head_dim, norm, strength=strength)


# ------------------------------------------------------------------ faults that no row of a dozen tokens shows


class SoundAtFirst(Sound):
    """``before`` and ``after`` of another class act only in rows of more than 20 tokens."""

    fault: ClassVar[type[Sound]]

    def before(self, x: Tensor, mask: Mask) -> tuple[Tensor, Mask]:
        return self.fault.before(self, x, mask) if x.shape[1] > 20 else (x, mask)

    def after(self, mixed: Tensor, own: Tensor, mask: Mask) -> Tensor:
        return self.fault.after(self, mixed, own, mask) if own.shape[-2] > 20 else mixed


@final
class LeaksInLongRows(SoundAtFirst):
    __doc__ = Sound.__doc__
    fault = LeaksOneFutureToken


@final
class LeaksOverTheBorderOfAChunk(Sound):
    __doc__ = Sound.__doc__

    def after(self, mixed: Tensor, own: Tensor, mask: Mask) -> Tensor:
        last = (mask.query.index % 64 == 63)[:, None]
        return torch.where(last, LeaksOneFutureToken.after(self, mixed, own, mask), mixed)  # type: ignore[arg-type]


@final
class IgnoresPaddingInLongRows(SoundAtFirst):
    __doc__ = Sound.__doc__
    fault = IgnoresPadding


@final
class IgnoresDocumentsInLongRows(SoundAtFirst):
    __doc__ = Sound.__doc__
    fault = IgnoresDocuments


@final
class DependsOnTheBatchInLongRows(SoundAtFirst):
    __doc__ = Sound.__doc__
    fault = DependsOnTheBatch


@final
class DoublesGradientsInLongRows(Sound):
    __doc__ = Sound.__doc__

    def after(self, mixed: Tensor, own: Tensor, mask: Mask) -> Tensor:
        return mixed + (mixed - mixed.detach() if own.shape[-2] > 20 else 0)


@final
class RestlessInLongRows(SoundAtFirst):
    __doc__ = Sound.__doc__
    fault = Restless


@final
class KeepsNoTypeInLongRows(Sound):
    __doc__ = Sound.__doc__

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        out = super().forward(x, memory, mask, position, cache)
        return out.float() if out.dtype == torch.bfloat16 and x.shape[1] > 20 else out


@final
class RemembersTheLastTokensAlone(Sound):
    __doc__ = Sound.__doc__

    def create_cache(self, capacity: int) -> Cache:
        return Cache(min(capacity, 48))


# ------------------------------------------------------------------------------ faults of positions in decoding


@final
class RotatesByTheChunk(Sound):
    """Keys of a chunk are rotated as if it began the row, once there is a cache.

    Args:
        dim: features per token.
        heads: heads.
        head_dim: features per head.
        norm: not used.
        strength: what scores are multiplied with.
    """

    def forward(self, x: Tensor, memory: Tensor, mask: Mask, position: Position, cache: Cache | None = None) -> Tensor:
        self.decoding = cache is not None
        return super().forward(x, memory, mask, position, cache)

    def rotate(self, q: Tensor, k: Tensor, mask: Mask, position: Position) -> tuple[Tensor, Tensor]:
        start = mask.key.position[:, :1] if self.decoding else 0
        q, k = position.rotate_queries(q, mask.query.position), position.rotate_keys(k, mask.key.position - start)
        return q, k


@final
class BiasesByTheSlot(Sound):
    __doc__ = Sound.__doc__

    def remember(self, cache: Cache, k: Tensor, v: Tensor, mask: Mask) -> tuple[tuple[Tensor, Tensor], Mask]:
        (k, v), mask = cache.extend((k, v), mask)
        position = torch.arange(mask.key.length)[None] + (mask.query.length == 1)
        return (k, v), replace(mask, key=replace(mask.key, position=position.expand_as(mask.key.position)))


@final
class SelectsTwoRows(Sound):
    __doc__ = Sound.__doc__

    def remember(self, cache: Cache, k: Tensor, v: Tensor, mask: Mask) -> tuple[tuple[Tensor, Tensor], Mask]:
        if not hasattr(cache, "start"):
            cache.start = v[:, :, :1]  # type: ignore[attr-defined]
        (k, v), mask = cache.extend((k, v), mask)
        return (k, v + 0 * cache.start), mask  # type: ignore[attr-defined]


FAULTS: dict[type[Sound], set[str]] = {
    Faultless: set(),
    LeaksOneFutureToken: {"later_tokens_have_no_influence"},
    IgnoresPadding: {"padding_has_no_influence"},
    IgnoresDocuments: {"packed_documents_are_separate"},
    RemembersAllButTheFirst: {"cached_equals_full"},
    ForgetsRotate: {"positions_have_an_effect_or_are_refused"},
    WrongFlops: {"declared_flops_match_needed_flops"},
    CountsHiddenPairs: {"declared_flops_match_needed_flops"},
    DeadParameter: {"every_parameter_gets_a_gradient"},
    DependsOnTheBatch: {"rows_are_independent"},
    Forgetful: {"gradients_match_finite_differences"},
    Restless: {"evaluation_is_deterministic"},
    OptionDoesNothing: {"every_option_has_an_effect"},
    KeepsNoType: {"shape_and_dtype_are_kept"},
    ReadsValues: {"runs_on_the_meta_device"},
    SaysNothing: {"every_argument_is_documented"},
    LeaksInLongRows: {"later_tokens_have_no_influence"},
    LeaksOverTheBorderOfAChunk: {"later_tokens_have_no_influence"},
    IgnoresPaddingInLongRows: {"padding_has_no_influence"},
    IgnoresDocumentsInLongRows: {"packed_documents_are_separate"},
    DependsOnTheBatchInLongRows: {"rows_are_independent"},
    DoublesGradientsInLongRows: {"gradients_match_finite_differences"},
    RestlessInLongRows: {"evaluation_is_deterministic"},
    KeepsNoTypeInLongRows: {"shape_and_dtype_are_kept"},
    RemembersTheLastTokensAlone: {"cached_equals_full"},
    RotatesByTheChunk: {"cached_equals_full"},
    BiasesByTheSlot: {"cached_equals_full"},
    SelectsTwoRows: {"cache_rows_can_be_selected"},
}


@pytest.mark.parametrize("cls", FAULTS, ids=lambda cls: cls.__name__)
def test_a_fault_is_found_by_the_check_meant_for_it(cls: type[Sound]) -> None:
    with register_temporarily("attention", "planted", cls) as entry:
        looked_at = [s for s in list_subjects(entry) if s.scope != "model" or (s.is_plain and s.is_first)]
        outcomes = [run_check(subject, item) for subject in looked_at for item in list_checks(subject)]
    failed = {outcome.check.name for outcome in outcomes if outcome.status in FAILURES}
    assert failed == FAULTS[cls], "\n".join(outcome.line for outcome in outcomes if outcome.status in FAILURES)
    for outcome in outcomes:
        if outcome.status in FAILURES:
            assert "expected: " in outcome.line
            assert "seen: " in outcome.line
            assert f"{__file__}:" in outcome.line, "where to look"


class RatesThatDoNotCarryOver(Initialization):
    """Normal, and says that it is μP.

    Args:
        std: standard deviation.
    """

    transfers_rates: ClassVar[bool] = True

    def __init__(self, *, std: float = 0.02) -> None:
        self.std = std

    def initialize_matrix(self, weight: Tensor, dim: int) -> None:
        nn.init.normal_(weight, std=self.std)

    def initialize_table(self, weight: Tensor, dim: int) -> None:
        nn.init.normal_(weight, std=self.std)


class FirstWeightsWithoutSeed(RatesThatDoNotCarryOver):
    """Draws from another generator.

    Args:
        std: standard deviation.
    """

    transfers_rates: ClassVar[bool] = False
    generator = torch.Generator()

    def initialize_matrix(self, weight: Tensor, dim: int) -> None:
        nn.init.normal_(weight, std=self.std, generator=self.generator)


class AnOptionThatDoesNothing(FirstWeightsWithoutSeed):
    """Takes no notice of its option.

    Args:
        std: not used.
    """

    def initialize_matrix(self, weight: Tensor, dim: int) -> None:
        nn.init.normal_(weight, std=0.02)

    def initialize_table(self, weight: Tensor, dim: int) -> None:
        nn.init.normal_(weight, std=0.02)


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (RatesThatDoNotCarryOver, "learning_rates_transfer"),
        (FirstWeightsWithoutSeed, "initial_weights_are_reproducible"),
        (AnOptionThatDoesNothing, "every_initialization_option_has_an_effect"),
    ],
)
def test_a_fault_of_an_initialization_is_found(cls: type[Initialization], name: str) -> None:
    with register_temporarily("initialization", "planted", final(cls)) as entry:
        outcomes = list(check_component(entry))
    assert {outcome.check.name for outcome in outcomes if outcome.status in FAILURES} == {name}


def test_an_expected_failure_is_counted_and_explained() -> None:
    @final
    class Known(Sound):
        __doc__ = Sound.__doc__
        expected_failures = {"declared_flops_match_needed_flops": "it counts ninety in a hundred"}  # noqa: RUF012

        def flops(self, mask: Mask) -> int:
            return super().flops(mask) * 9 // 10

    with register_temporarily("attention", "planted", Known) as entry:
        outcomes = list(check_component(entry, only=["declared_flops_match_needed_flops"]))
    assert {outcome.status for outcome in outcomes} == {"expected failure"}
    assert all("it counts ninety in a hundred" in outcome.line for outcome in outcomes)


def test_an_expected_failure_that_passes_is_a_failure() -> None:
    @final
    class Cautious(Sound):
        __doc__ = Sound.__doc__
        expected_failures = {"evaluation_is_deterministic": "it was not, once"}  # noqa: RUF012

    with register_temporarily("attention", "planted", Cautious) as entry:
        outcomes = list(check_component(entry, only=["evaluation_is_deterministic"]))
    assert {outcome.status for outcome in outcomes} == {"passed unexpectedly"}

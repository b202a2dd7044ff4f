"""Bracket completion in bounded Dyck languages."""

from __future__ import annotations

from random import Random
from typing import final

from zoo.checks import require_between
from zoo.components.data._synthetic import Lengths, RandomPairs, require_at_least
from zoo.data.interfaces import Split
from zoo.registry import register

_OPEN, _CLOSE = "([{<«⟨⟦⟪", ")]}>»⟩⟧⟫"
_CLOSING = dict(zip(_OPEN, _CLOSE, strict=True))
_BALANCED = "="


@final
@register("data", "dyck", paper="arXiv:2105.11115")
class Dyck(RandomPairs):
    """Complete a bracket sequence, the innermost bracket first: [()( -> )], and [()] -> = if none is open.

    Attention of fixed size cannot recognize brackets of two kinds at arbitrary depth (arXiv:1906.06755). If the depth
    is bounded, as it is here, two layers of soft attention can generate such sequences with a memory that grows with
    the logarithm of the number of kinds; that of a recurrent network also grows with the depth (arXiv:2105.11115).

    Args:
        kinds: number of kinds of brackets.
        depth: greatest number of brackets that are open at once.
        train_length: number of brackets of a source in training.
        shortest: smallest number of brackets in training, where lengths are drawn uniformly up to ``train_length``;
            null for ``train_length`` always.
        test_length: number of brackets of a source in validation; null for the same lengths as in training.
        limit: number of examples in both splits together.
        validation: fraction of the examples to hold out, selected by a hash of the source.
        seed: seed of the random examples.

    Raises:
        Refused: if ``kinds`` is not between 1 and 8, if ``depth`` or a length is less than 1, if ``limit`` is more than
            the number of different examples allows, or if ``validation`` is not between 0 and 1.
    Source: Yao et al. 2021.
    """

    def __init__(
        self,
        *,
        kinds: int = 2,
        depth: int = 4,
        train_length: int = 16,
        shortest: int | None = None,
        test_length: int | None = None,
        limit: int = 20000,
        validation: float = 0.05,
        seed: int = 0,
    ) -> None:
        require_between("kinds", kinds, 1, len(_OPEN))
        require_at_least("depth", depth, 1)
        self.kinds, self.depth = kinds, depth
        self.lengths = Lengths(train_length, shortest, test_length)
        different = _compute_rarity(self.lengths.shorter_split, kinds, depth)
        super().__init__(limit, validation, seed, different, kinds=kinds, depth=depth, lengths=self.lengths)

    def draw(self, random: Random, split: Split) -> tuple[str, str]:
        """Draws a sequence; where both are possible, opening and closing a bracket are equally likely."""
        text, inside = "", ""
        for _ in range(self.lengths.draw(random, split)):
            if not inside or (len(inside) < self.depth and random.random() < 0.5):
                bracket = random.choice(_OPEN[: self.kinds])
                text, inside = text + bracket, _CLOSING[bracket] + inside
            else:
                text, inside = text + inside[0], inside[1:]
        return text, inside or _BALANCED


def _compute_rarity(length: int, kinds: int, depth: int) -> int:
    """Computes the inverse probability of the most likely source of a length."""
    # Maps a number of open brackets to the inverse probability of the most likely prefix that leaves so many open.
    rarity = {0: 1}
    for _ in range(length):
        extended: dict[int, int] = {}
        for inside, inverse in rarity.items():
            coin = 2 if 0 < inside < depth else 1
            steps = [(inside + 1, coin * kinds)] * (inside < depth) + [(inside - 1, coin)] * (inside > 0)
            for reached, factor in steps:
                extended[reached] = min(inverse * factor, extended.get(reached, inverse * factor))
        rarity = extended
    return min(rarity.values())

"""Close what is open."""

from __future__ import annotations

from random import Random
from typing import final

from zoo.checks import require_between
from zoo.components.data._synthetic import Drawn, Lengths, require_at_least
from zoo.data.interfaces import Split
from zoo.registry import register

_OPEN, _CLOSE = "([{<«⟨⟦⟪", ")]}>»⟩⟧⟫"
_CLOSING = dict(zip(_OPEN, _CLOSE, strict=True))
_BALANCED = "="


@final
@register("data", "dyck", paper="arXiv:2105.11115")
class Dyck(Drawn):
    """Close the brackets that are open, the innermost first: [()( -> )], and [()] -> = as nothing is open.

    Attention of fixed size cannot recognize brackets of two kinds at any depth (arXiv:1906.06755). Where the depth is
    bounded, as here, two layers of soft attention can generate them, with a memory that grows with the logarithm of
    the kinds only, while a recurrent network's grows with the depth, too (arXiv:2105.11115).

    Args:
        kinds: of brackets.
        depth: most brackets that are open at once.
        train_length: brackets of a source in training.
        shortest: fewest brackets in training, where lengths are drawn evenly; none is always ``train_length``.
        test_length: brackets of a source in validation; none is as in training.
        limit: examples of both splits together.
        validation: share of the examples held out, chosen by a hash of the source.
        seed: other seeds give other examples.

    Raises:
        Refused: if ``kinds`` is not from 1 to 8, ``depth`` or a length is below 1, ``limit`` is more than the
            different examples allow, or ``validation`` is not between 0 and 1.
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
        different = _one_in(self.lengths.fewest, kinds, depth)
        super().__init__(limit, validation, seed, different, kinds=kinds, depth=depth, lengths=self.lengths)

    def draw(self, random: Random, split: Split) -> tuple[str, str]:
        """Opens or closes by the toss of a coin where both can be done."""
        text, inside = "", ""
        for _ in range(self.lengths.draw(random, split)):
            if not inside or (len(inside) < self.depth and random.random() < 0.5):
                bracket = random.choice(_OPEN[: self.kinds])
                text, inside = text + bracket, _CLOSING[bracket] + inside
            else:
                text, inside = text + inside[0], inside[1:]
        return text, inside or _BALANCED


def _one_in(length: int, kinds: int, depth: int) -> int:
    """The likeliest source of a length is drawn once in so many."""
    # By how many are open: one in how many the likeliest beginning is.
    rarity = {0: 1}
    for _ in range(length):
        after: dict[int, int] = {}
        for inside, one_in in rarity.items():
            coin = 2 if 0 < inside < depth else 1
            steps = [(inside + 1, coin * kinds)] * (inside < depth) + [(inside - 1, coin)] * (inside > 0)
            for reached, factor in steps:
                after[reached] = min(one_in * factor, after.get(reached, one_in * factor))
        rarity = after
    return min(rarity.values())
